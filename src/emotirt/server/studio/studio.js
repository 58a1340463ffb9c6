// The page: what is entered, what is spoken, what is shown.

import { ask, eventsOf, Problem, speech, useKey } from "./api.js";
import { Caption } from "./caption.js";
import { Cloning, told } from "./clone.js";
import { hueOf } from "./drawing.js";
import { Face } from "./face.js";
import { Pad } from "./pad.js";
import { Player } from "./player.js";
import { Spectrogram } from "./spectrogram.js";
import { Stats } from "./stats.js";
import { chooseLanguage, chosenLanguage, isExample, words } from "./words.js";

const RATE_HZ = 24000;
const DEADLINE_MS = 20000; // who tries a page out would rather wait than read of a missed deadline
const NEUTRAL = "neutral";

const at = (id) => document.getElementById(id);
const spectrogram = new Spectrogram(at("spectrogram"));
const stats = new Stats(at("stats"));
const face = new Face(at("face"));
const caption = new Caption(at("caption"));
const pad = new Pad(at("pad"), NEUTRAL, feel);
const cloning = new Cloning(async (id) => {
  at("voice").value = "";
  await load();
  if (id) at("voice").value = id;
  showDelete();
});
let offered = { data: [], emotions: [] };
let emotion = NEUTRAL;
let shown = { state: "", problem: null };
let turn = null; // what is being spoken: { abort, player }

function start() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      translate();
    });
  }
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    speak();
  });
  at("stop").addEventListener("click", stop);
  at("use-key").addEventListener("click", enterKey);
  at("key").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // the form's button would speak
    enterKey();
  });
  at("intensity").addEventListener("input", () => feel(emotion, Number(at("intensity").value)));
  for (const id of ["speed", "pitch"]) at(id).addEventListener("input", showValues);
  at("voice").addEventListener("change", showDelete);
  at("delete-voice").addEventListener("click", deleteVoice);
  at("text").value = words().example;
  translate();
  load();
  stats.watch();
}

async function load() {
  try {
    offered = await (await ask("v1/audio/voices")).json();
    show({ state: "", problem: null });
  } catch (error) {
    fail(error);
  }
  showOffered();
}

async function enterKey() {
  useKey(at("key").value);
  await load();
  stats.forgetRefusal();
}

async function speak() {
  stop();
  const asked = performance.now();
  const mine = (turn = { abort: new AbortController(), player: null });
  clear();
  show({ state: "waiting", problem: null });
  at("stage").scrollIntoView({ block: "nearest" }); // on a phone it lies below
  at("stop").disabled = false;
  try {
    mine.player = openPlayer();
    const answer = await speech(body(), mine.abort.signal);
    showHeaders(answer.headers);
    await play(eventsOf(answer), mine, asked);
    if (turn === mine) show({ state: "ended", problem: null });
  } catch (error) {
    if (turn === mine) fail(error);
  } finally {
    mine.player?.close();
    if (turn === mine) idle();
  }
}

async function play(events, mine, asked) {
  const heard = () => mine.player.heardS;
  for await (const event of events) {
    if (turn !== mine) return;
    if (event.type === "speech.audio.timestamps") {
      face.add(event.visemes);
      caption.add(event);
    } else if (event.type === "speech.audio.delta") {
      const isFirst = mine.player.samples === 0;
      mine.player.write(bytesOf(event.audio));
      if (isFirst && mine.player.samples) {
        at("first-audio").textContent = `${Math.round(performance.now() - asked)} ms`;
        show({ state: "playing", problem: null });
        spectrogram.start(mine.player.analyser);
        face.follow(heard);
        caption.follow(heard);
      }
      at("received").textContent = `${mine.player.seconds.toFixed(2)} s`;
    }
  }
  await mine.player.finish();
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

function stop() {
  const mine = turn;
  if (!mine) return;
  turn = null;
  mine.abort.abort();
  mine.player?.close();
  show({ state: "stopped", problem: null });
  idle();
}

function idle() {
  turn = null;
  spectrogram.stop();
  face.forget();
  caption.forget();
  at("stop").disabled = true;
}

function openPlayer() {
  try {
    const player = new Player(RATE_HZ);
    player.resume();
    return player;
  } catch (error) {
    throw new Problem("silent", error.message);
  }
}

function body() {
  const asked = {
    input: at("text").value,
    response_format: "pcm",
    stream_format: "sse",
    timestamps: ["word", "viseme"],
    sample_rate: RATE_HZ,
    speed: speed(),
    pitch: Number(at("pitch").value),
    emotion,
    intensity: Number(at("intensity").value),
    deadline_ms: DEADLINE_MS,
  };
  if (at("voice").value) asked.voice = at("voice").value;
  return asked;
}

/** The slider is in octaves: as far to half the speed as to twice. */
const speed = () => Math.min(4, Math.max(0.25, Number((2 ** Number(at("speed").value)).toFixed(2))));

function clear() {
  for (const id of ["first-audio", "first-audio-server", "received"]) at(id).textContent = "–";
  at("warning").hidden = true;
}

function showHeaders(headers) {
  const timing = /first_audio;dur=([\d.]+)/.exec(headers.get("server-timing") ?? "");
  if (timing) at("first-audio-server").textContent = `${Math.round(Number(timing[1]))} ms`;
  const warning = headers.get("x-emotirt-warning");
  at("warning").textContent = warning ?? "";
  at("warning").hidden = !warning;
}

function fail(error) {
  const problem = error instanceof Problem ? error : new Problem("other", String(error));
  if (problem.code === "invalid_api_key") {
    at("key-row").hidden = false;
    at("key").focus();
  }
  show({ state: "", problem });
}

function show(what) {
  shown = what;
  const { state, problem } = what;
  at("state").textContent = state ? words()[state] : "";
  at("problem").hidden = !problem;
  at("problem").textContent = problem ? told(problem) : "";
}

function showValues() {
  at("intensity-value").textContent = Number(at("intensity").value).toFixed(2);
  at("speed-value").textContent = `×${speed().toFixed(2)}`;
  const pitch = Number(at("pitch").value);
  at("pitch-value").textContent = `${pitch > 0 ? "+" : pitch < 0 ? "−" : ""}${Math.abs(pitch)} ${words().semitones}`;
}

function showOffered() {
  const { languages, sexes, anyVoice, ownVoice } = words();
  const chosen = at("voice").value;
  const voices = offered.data.map(({ id, name, language, sex, description, custom }) => {
    const parts = [custom && ownVoice, languages[language] ?? (custom ? "" : language), sexes[sex]].filter(Boolean);
    const option = new Option(parts.length ? `${name} (${parts.join(", ")})` : name, id);
    option.title = description ?? "";
    return option;
  });
  at("voice").replaceChildren(new Option(anyVoice, ""), ...voices);
  at("voice").value = chosen;
  if (at("voice").selectedIndex < 0) at("voice").value = "";
  const emotions = offered.emotions.map(({ name, aliases }) => ({ name, label: labelOf(name, aliases) }));
  at("feeling").hidden = emotions.length < 2;
  at("emotions").replaceChildren(...emotions.map(emotionButton));
  pad.offer(emotions);
  feel(emotion, Number(at("intensity").value));
  showDelete();
}

const labelOf = (name, aliases) =>
  chosenLanguage() === "zh" ? aliases.find((alias) => /\p{Script=Han}/u.test(alias)) ?? name : name;

function emotionButton({ name, label }) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.dataset.emotion = name;
  button.style.setProperty("--hue", hueOf(name));
  button.addEventListener("click", () => feel(name, Number(at("intensity").value) || 1));
  return button;
}

/** Choose an emotion, wherever it was chosen. */
function feel(name, intensity) {
  emotion = name;
  at("intensity").value = intensity;
  at("intensity").disabled = name === NEUTRAL;
  for (const each of at("emotions").children) each.setAttribute("aria-pressed", String(each.dataset.emotion === name));
  pad.choose(name, intensity);
  face.feel(name, intensity);
  showValues();
}

function showDelete() {
  const button = at("delete-voice");
  button.hidden = !offered.data.find(({ id, custom }) => custom && id === at("voice").value);
  button.textContent = words().deleteVoice;
  delete button.dataset.sure;
}

/** The first press asks, the second one does it. */
async function deleteVoice() {
  const button = at("delete-voice");
  if (!button.dataset.sure) {
    button.dataset.sure = "asked";
    button.textContent = words().deleteSure;
    return;
  }
  try {
    await cloning.remove(at("voice").value);
  } catch (error) {
    fail(error);
  }
}

function translate() {
  document.documentElement.lang = chosenLanguage() === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = words()[element.dataset.words];
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === chosenLanguage()));
  }
  at("spectrogram").setAttribute("aria-label", words().spectrogram);
  at("face").setAttribute("aria-label", words().face);
  at("pad").setAttribute("aria-label", words().pad);
  at("emotions").setAttribute("aria-label", words().emotion);
  if (isExample(at("text").value)) at("text").value = words().example;
  showOffered();
  show(shown);
  stats.show();
  cloning.show();
}

start();
