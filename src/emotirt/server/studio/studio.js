// The page: what is entered, what is spoken, what is shown.

import { ask, Problem, speech, useKey } from "./api.js";
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
  for (const id of ["intensity", "speed"]) at(id).addEventListener("input", showValues);
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
  at("stop").disabled = false;
  try {
    mine.player = openPlayer();
    const answer = await speech(body(), mine.abort.signal);
    showHeaders(answer.headers);
    await play(answer.body.getReader(), mine, asked);
    if (turn === mine) show({ state: "ended", problem: null });
  } catch (error) {
    if (turn === mine) fail(error);
  } finally {
    mine.player?.close();
    if (turn === mine) idle();
  }
}

async function play(reader, mine, asked) {
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Problem("cut", error.message);
    });
    if (turn !== mine) return;
    if (done) break;
    const isFirst = mine.player.samples === 0;
    mine.player.write(value);
    if (isFirst && mine.player.samples) {
      at("first-audio").textContent = `${Math.round(performance.now() - asked)} ms`;
      show({ state: "playing", problem: null });
      spectrogram.start(mine.player.analyser);
    }
    at("received").textContent = `${mine.player.seconds.toFixed(2)} s`;
  }
  await mine.player.finish();
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
    sample_rate: RATE_HZ,
    speed: speed(),
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
  if (!problem) return;
  const { problems } = words();
  const said = problems[problem.code] ?? problems.other;
  at("problem").textContent = problem.detail ? `${said} (${problem.detail})` : said;
}

function showValues() {
  at("intensity-value").textContent = Number(at("intensity").value).toFixed(2);
  at("speed-value").textContent = `×${speed().toFixed(2)}`;
}

function showOffered() {
  const { languages, sexes, anyVoice } = words();
  const chosen = at("voice").value;
  const voices = offered.data.map(({ id, name, language, sex, description }) => {
    const parts = [languages[language] ?? language, sexes[sex] ?? sex].filter(Boolean);
    const option = new Option(`${name} (${parts.join(", ")})`, id);
    option.title = description ?? "";
    return option;
  });
  at("voice").replaceChildren(new Option(anyVoice, ""), ...voices);
  at("voice").value = chosen;
  at("emotions").replaceChildren(...offered.emotions.map(emotionButton));
  at("intensity").disabled = emotion === NEUTRAL;
}

function emotionButton({ name, aliases }) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = chosenLanguage() === "zh" ? aliases.find((alias) => /\p{Script=Han}/u.test(alias)) ?? name : name;
  button.dataset.emotion = name;
  button.setAttribute("aria-pressed", String(name === emotion));
  button.addEventListener("click", () => {
    emotion = name;
    for (const each of at("emotions").children) each.setAttribute("aria-pressed", String(each === button));
    at("intensity").disabled = name === NEUTRAL;
  });
  return button;
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
  if (isExample(at("text").value)) at("text").value = words().example;
  showValues();
  showOffered();
  show(shown);
  stats.show();
}

start();
