"""Calibrate the emotions of a bundle against people's acting, and write the bundle with other vectors and prosody.

    python scripts/calibrate_emotions.py --pack PACK --out DIR [--bundle DIR] [--emotion sad] [--generations 20]

Graphs stay as they are. ``evaluation/calibration.py`` says what is compared with what; an emotion takes several minutes
on two cores. A search may end where it began: then the emotion is left alone.
"""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotirt.bundle.manifest import NEUTRAL, EmotionEntry
from emotirt.bundle.store import Bundle, arrays_from_npz, default_bundle_path, file_entry, open_bundle, write_bundle
from emotirt.evaluation.calibration import (
    ENERGY_LIMITS_DB,
    Setting,
    Space,
    Trial,
    acted_directions,
    calibrated,
    judges_of,
    other_voices,
)
from emotirt.evaluation.emotions import ACTED_CORPUS, TAGS, hear_actors
from emotirt.evaluation.speaker_encoder import SpeakerEncoder
from emotirt.evaluation.synthesizer import Synthesizer
from emotirt.training.corpus import Pack, load_pack


def directions_of(pack: Pack, synthesizer: Synthesizer) -> NDArray[np.float64]:
    """Encode the acted recordings and find where acting leads, float64 [directions, emotion_dim]."""
    clips = [clip for clip in pack.clips if clip.corpus == ACTED_CORPUS]
    vectors = np.stack([synthesizer.emotion_of(pack.samples(clip)) for clip in clips]).astype(np.float64)
    return acted_directions(vectors, [clip.speaker for clip in clips], [clip.emotion for clip in clips])


def write_calibrated(bundle: Bundle, settings: dict[str, Setting], out: Path) -> None:
    """Write the bundle with the settings in place of its own."""
    entry = bundle.manifest.vectors
    arrays = arrays_from_npz((bundle.path / entry.file).read_bytes())
    arrays |= {f"emotion/{name}": setting.vector for name, setting in settings.items()}
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]  # names are free

    def changed(emotion: EmotionEntry) -> EmotionEntry:
        found = settings.get(emotion.name)
        return emotion if found is None else replace(emotion, prosody=found.prosody)

    manifest = replace(
        bundle.manifest,
        vectors=file_entry(entry.file, packed.getvalue()),
        emotions=tuple(changed(emotion) for emotion in bundle.manifest.emotions),
    )
    files = {one.file: (bundle.path / one.file).read_bytes() for one in manifest.files}
    write_bundle(out, manifest, files | {entry.file: packed.getvalue()})


def main() -> None:
    """Calibrate the emotions asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True, help="recordings, as 'emotirt train pack' makes them")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path(), help="where to start")
    parser.add_argument("--out", type=Path, required=True, help="folder for the new bundle")
    parser.add_argument("--emotion", action="append", choices=TAGS[1:], help="which; repeat (default: all four)")
    parser.add_argument("--generations", type=int, default=20, help="of the search (default: 20)")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    pack, bundle = load_pack(args.pack), open_bundle(args.bundle)
    with Synthesizer(bundle, threads=args.threads) as synthesizer:
        judges = judges_of(hear_actors(pack, SpeakerEncoder()))
        directions = directions_of(pack, synthesizer)
        trial = Trial(synthesizer, judges, other_voices(pack, synthesizer))
        vectors, settings = bundle.vectors().emotions, {}
        for name in args.emotion or TAGS[1:]:
            start = Setting(vectors[name], bundle.emotions[name].prosody)
            space = Space(vectors[NEUTRAL], directions, ENERGY_LIMITS_DB[name])
            found, before, after = calibrated(trial, space, start, name, args.generations)
            sys.stdout.write(f"{name}: cost {before:.2f} -> {after:.2f}, {found.prosody}\n")
            if after < before:
                settings[name] = found
    write_calibrated(bundle, settings, args.out)


if __name__ == "__main__":
    main()
