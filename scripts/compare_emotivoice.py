"""Compare an imported EmotiVoice model with the public code at full size, with random weights.

Two steps, because the public code needs packages that we do not (transformers, yacs, scipy, jieba, pypinyin,
pypinyin-dict, g2p-en):

    python scripts/compare_emotivoice.py public --checkout EmotiVoice --work DIR [--texts FILE]
    python scripts/compare_emotivoice.py ours --work DIR [--out benchmarks/results]

``public`` makes checkpoints of the published sizes (2014 speakers, 502 symbols, BERT base) in DIR and keeps what the
public classes give for three utterances; with ``--texts`` (one sentence a line) also its phonemes. ``ours`` imports
them, compares, and writes two result files. The weights are drawn so that every part matters: lively pooled vectors,
durations of 0 to 6 frames, audio below full scale.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

SENTENCES = (
    ("公募基金管理业务规范", 0, "非常开心"),
    ("今天天气真不错，我们一起去公园散步吧，晚上再回家吃饭。", 777, "生气"),
    (
        "在昏暗狭小的房间内，我父亲躺在窗前的地板上，全身素白，显得身子特别长，他光着双脚，脚趾头怪模怪样地向外翻着，"
        "一双亲切的手平静地放在胸前，手指头也是弯曲的，他那双时常乐哈哈的眼睛，紧紧地闭住了，像两枚圆圆的黑铜钱。",
        2013,
        "他光着双脚，一双亲切的手平静地放在胸前。",
    ),
)
"""Text, row of the speaker table, prompt; the last is as long as sentences get."""
ENGLISH_RUN = re.compile(r"(?:\[\S+\]|engsp\d)(?: (?:\[\S+\]|engsp\d))*")


def write_bert_folder(folder: Path) -> None:
    """Write a BERT base folder as Hugging Face has them, with a vocabulary of the published size."""
    from transformers import BertConfig, BertModel

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    pieces += ["##" + chr(code) for code in range(0x61, 0x7B)] + list("，。！？、：；“”")
    config = BertConfig(vocab_size=13_685)
    pieces += [chr(0x4E00 + index) for index in range(config.vocab_size - len(pieces))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertModel(config).save_pretrained(folder)


def make_style_encoder(work: Path) -> Any:
    """Make the public style encoder with random weights and write its checkpoint."""
    from models.prompt_tts_modified.simbert import StyleEncoder

    sizes = {"bert_path": str(work / "bert"), "bert_hidden_size": 768, "style_dim": 128, "emotion_n_labels": 7}
    labels = dict.fromkeys(("pitch_n_labels", "speed_n_labels", "energy_n_labels"), 3)
    encoder = StyleEncoder(SimpleNamespace(**sizes, **labels)).eval()
    for name, parameter in encoder.bert.named_parameters():
        if parameter.ndim > 1:
            parameter.mul_(2.0)
        elif name.endswith("bias"):
            parameter.normal_(0.0, 0.02)
    state = {"module." + name: value for name, value in encoder.state_dict().items()}
    torch.save({"model": state}, work / "checkpoint_163431")
    return encoder


def make_generator(checkout: Path, work: Path) -> Any:
    """Make the public generator with random weights and write its checkpoint."""
    from models.prompt_tts_modified.jets import JETSGenerator
    from yacs import config as yacs

    with (checkout / "config/joint/config.yaml").open(encoding="utf-8") as file:
        config = yacs.load_cfg(file)
    config.n_vocab, config.n_speaker = 502, 2014
    generator = JETSGenerator(config).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("bias") and parameter.ndim == 1:
            parameter.normal_(0.0, 0.05)
    generator.am.duration_predictor.linear.weight.normal_(0.0, 0.03)
    generator.am.duration_predictor.linear.bias.fill_(math.log(6.0))
    generator.am.encoder.embed[0].alpha.fill_(0.83)
    generator.am.decoder.embed[0].alpha.fill_(1.21)
    for module in generator.generator.modules():
        if isinstance(module, (torch.nn.Conv1d, torch.nn.ConvTranspose1d)):
            fan_in = module.weight[0].numel() / module.stride[0]
            module.weight = torch.randn_like(module.weight) / fan_in**0.5
    last, outputs = generator.generator.conv_post, []
    handle = last.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    generator.generator(torch.randn(1, 80, 50))
    handle.remove()
    last.weight = last.weight * (0.2 / float(outputs[0].std()))
    torch.save({"generator": generator.state_dict()}, work / "g_00140000")
    return generator


def run_public(args: argparse.Namespace) -> None:
    """Make the checkpoints and keep what the public code gives."""
    checkout, work = args.checkout.resolve(), args.work
    sys.path.insert(0, str(checkout))
    from frontend import g2p_cn_en
    from frontend_en import G2p
    from transformers import AutoTokenizer, __version__

    torch.manual_seed(1234)
    torch.set_num_threads(1)
    write_bert_folder(work / "bert")
    tokenizer = AutoTokenizer.from_pretrained(work / "bert")
    lists = checkout / "data/youdao/text"
    for name in ("tokenlist", "speaker2"):
        (work / name).write_bytes((lists / name).read_bytes())
    (work / "config.yaml").write_bytes((checkout / "config/joint/config.yaml").read_bytes())
    tokens = (work / "tokenlist").read_text(encoding="utf-8").splitlines()
    g2p, cases = G2p(), {}
    with torch.no_grad():
        style_encoder, generator = make_style_encoder(work), make_generator(checkout, work)

        def vector(text: str) -> torch.Tensor:
            return style_encoder(**tokenizer([text], return_tensors="pt"))["pooled_output"]

        for index, (text, speaker, prompt) in enumerate(SENTENCES):
            ids = torch.tensor([[tokens.index(symbol) for symbol in g2p_cn_en(text, g2p, {}).split()]])
            style, content = vector(prompt), vector(text)
            made = generator(ids, torch.tensor([ids.shape[1]]), torch.tensor([speaker]), style, content)
            found = {"ids": ids, "style": style, "content": content, "durations": made["log_duration_predictions"]}
            found |= {"mel": made["dec_outputs"], "wav": made["wav_predictions"][:, 0]}
            cases |= {f"{index}_{name}": value.numpy() for name, value in found.items()}
    np.savez(work / "cases.npz", **cases)
    spoken = []
    if args.texts is not None:
        texts = args.texts.read_text(encoding="utf-8").splitlines()
        spoken = [(text, g2p_cn_en(text, g2p, {})) for text in texts]
    content = {"torch": torch.__version__, "transformers": __version__, "phonemes": spoken}
    (work / "public.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def largest(found: Any, expected: Any) -> float:
    """Return the largest absolute difference."""
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())


def torch_differences(networks: Any, row: np.ndarray, case: dict[str, np.ndarray]) -> dict[str, float]:
    """Compare our networks in PyTorch with one case, stage inputs as the public code had them."""
    one, zero = torch.ones(1), torch.zeros(1)
    ids, style, content = (torch.from_numpy(case[name]) for name in ("ids", "style", "content"))
    lengths = torch.tensor([ids.shape[1]])
    with torch.no_grad():
        hidden, durations = networks.acoustic.text_encoder(
            ids, lengths, torch.from_numpy(row)[None], style, zero, one, zero, one, content
        )
        mel = networks.acoustic.decoder(hidden, durations, lengths, torch.ones(1, int(durations.sum())))
        wav = networks.vocoder(mel.transpose(1, 2))
    return {
        "durations": largest(durations, case["durations"]),
        "mel": largest(mel, case["mel"]),
        "wav": largest(wav, case["wav"]),
    }


def bundle_differences(bundle: Any, index: int, case: dict[str, np.ndarray]) -> dict[str, float]:
    """The whole path on ONNX Runtime: text and prompt in, audio out."""
    from emotirt.synthesis.pipeline import Pipeline
    from emotirt.text.emotivoice_reader import EmotiVoiceReader
    from emotirt.text.frontend import Frontend, FrontendLimits
    from emotirt.text.symbols import SymbolTable
    from emotirt.types import Prosody
    from emotirt.voices.catalog import Catalog

    text, speaker, prompt = SENTENCES[index]
    table = SymbolTable(bundle.symbols)
    frontend = Frontend(table, FrontendLimits(max_tokens=1000), EmotiVoiceReader(table))
    (utterance,) = frontend.utterances(text)
    pipeline, catalog = Pipeline(bundle, threads=1), Catalog(bundle)
    assert pipeline.prompts is not None
    style = pipeline.prompts.style(prompt)
    condition = catalog.condition(catalog.voices[speaker].name, "neutral", 1.0, Prosody(), style)
    mel = pipeline.mels([utterance], [condition])[0]
    return {
        "symbols": float(not np.array_equal(utterance.ids[None], case["ids"])),
        "style": largest(style, case["style"][0]),
        "content": largest(pipeline.prompts.contents([text])[0], case["content"][0]),
        "frames": float(len(mel) - case["mel"].shape[1]),
        "mel": largest(mel, case["mel"][0]),
        "wav": largest(pipeline.waveforms([mel])[0], case["wav"][0]),
    }


def run_ours(args: argparse.Namespace) -> None:
    """Import the checkpoints, compare, and write the results."""
    from emotirt.build.emotivoice import load_public_model
    from emotirt.build.emotivoice_bundle import build_public_bundle
    from emotirt.build.emotivoice_files import EmotiVoiceFiles

    work = args.work
    named = ("g_00140000", "checkpoint_163431", "bert", "tokenlist", "speaker2", "config.yaml")
    model = load_public_model(EmotiVoiceFiles(*(work / name for name in named)))
    with np.load(work / "cases.npz") as archive:
        cases = [
            {name: archive[f"{index}_{name}"] for name in ("ids", "style", "content", "durations", "mel", "wav")}
            for index in range(len(SENTENCES))
        ]
    rows = list(model.speakers.values())
    torch.set_num_threads(1)
    in_torch = [
        torch_differences(model.networks, rows[speaker], case)
        for (_, speaker, _), case in zip(SENTENCES, cases, strict=True)
    ]
    bundle = build_public_bundle(work / "bundle", model, "compared").bundle
    in_onnx = [bundle_differences(bundle, index, case) for index, case in enumerate(cases)]
    public = json.loads((work / "public.json").read_text(encoding="utf-8"))
    _write_exactness(args.out, public, cases, in_torch, in_onnx)
    if public["phonemes"]:
        _write_frontend(args.out, public["phonemes"], bundle.symbols)


def _write_exactness(out: Path, public: dict[str, Any], cases: Any, in_torch: Any, in_onnx: Any) -> None:
    from emotirt.bench.results import BenchmarkResult, measured, write_result

    values = {
        f"emotivoice.{backend}_{name}_max_difference": measured(max(item[name] for item in found), "1")
        for backend, found in (("torch", in_torch), ("onnxruntime", in_onnx))
        for name in found[0]
    }
    details = {
        "tokens": [int(case["ids"].shape[1]) for case in cases],
        "frames": [int(case["durations"].sum()) for case in cases],
        "mel_abs_max": [float(np.abs(case["mel"]).max()) for case in cases],
        "wav_abs_max": [float(np.abs(case["wav"]).max()) for case in cases],
        "torch": in_torch,
        "onnxruntime": in_onnx,
        "public_versions": {name: public[name] for name in ("torch", "transformers")},
    }
    print(write_result(BenchmarkResult("emotivoice_exactness", values, details=details), out), values)


def _write_frontend(out: Path, phonemes: list[tuple[str, str]], symbols: tuple[str, ...]) -> None:
    """Compare phonemes; a stretch of English counts as one, since the lexicons are different ones."""
    from emotirt.bench.results import BenchmarkResult, measured, write_result
    from emotirt.text.emotivoice_reader import EmotiVoiceReader
    from emotirt.text.frontend import Frontend, FrontendLimits
    from emotirt.text.symbols import SymbolTable

    table = SymbolTable(symbols)
    frontend = Frontend(table, FrontendLimits(max_tokens=4000), EmotiVoiceReader(table))
    differences, identical = [], 0
    for text, expected in phonemes:
        theirs, ours = " ".join(expected.split()), " ".join(frontend.symbols(text))
        identical += theirs == ours
        theirs, ours = (ENGLISH_RUN.sub("[English]", item) for item in (theirs, ours))
        if theirs != ours:
            differences.append({"text": text, "public": theirs, "ours": ours})
    agreement = 100.0 * (1.0 - len(differences) / len(phonemes))
    values = {"emotivoice.frontend_agreement_pct": measured(agreement, "%")}
    latin = sum(bool(re.search("[A-Za-zＡ-Ｚ]", text)) for text, _ in phonemes)
    details = {"sentences": len(phonemes), "with_latin_letters": latin, "identical": identical}
    result = BenchmarkResult("emotivoice_frontend", values, details=details | {"differences": differences})
    print(write_result(result, out), values)


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["public", "ours"])
    parser.add_argument("--checkout", type=Path, help="checkout of the public repository (step public)")
    parser.add_argument("--work", type=Path, required=True, help="directory for about 1.5 GB")
    parser.add_argument("--texts", type=Path, help="sentences to compare phonemes of, one a line (step public)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where results go (step ours)")
    args = parser.parse_args()
    (run_public if args.step == "public" else run_ours)(args)


if __name__ == "__main__":
    main()
