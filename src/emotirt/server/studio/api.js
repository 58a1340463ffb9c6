// Requests to the server. Paths are relative, so that the page works behind a prefix too.

let key = "";

export function useKey(value) {
  key = value.trim();
}

/** What went wrong: `code` names it in words.js, `detail` is what the server said. */
export class Problem extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
    this.detail = detail;
  }
}

/** Fetch; the answer is a good one, else this throws a Problem (or AbortError). */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(error instanceof TypeError ? "unreachable" : "other", error.message);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** Ask for speech as events. */
export const speech = (body, signal) =>
  ask("v1/audio/speech", {
    method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });

/** Read the events of an answer; throws a Problem for one that tells of an error, or when there is no last one. */
export async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Problem("cut", error.message);
    });
    if (done) throw new Problem("cut");
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = JSON.parse(part.slice("data: ".length));
      if (event.type === "error") throw new Problem(event.error.code ?? "other", event.error.message);
      yield event;
      if (event.type === "speech.audio.done") return;
    }
  }
}

/** Make a voice of a recording by someone who has agreed. */
export async function makeVoice(name, file) {
  const form = new FormData();
  form.set("name", name);
  form.set("consent", "true");
  form.set("audio_sample", file, file.name ?? "recording.wav");
  const answer = await ask("v1/audio/voices", { method: "POST", body: form }).catch((error) => {
    throw error.code === "body_too_large" ? new Problem("sample_too_large", error.detail) : error;
  });
  return answer.json();
}

export const deleteVoice = (id) => ask(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });

async function problemOf(answer) {
  const body = await answer.json().catch(() => null);
  const error = body?.error ?? {};
  const detail = error.message ?? `${answer.status} ${answer.statusText}`;
  let code = answer.status === 401 ? "invalid_api_key" : error.code ?? "other";
  if (code === "invalid_value" && error.param === "input") code = /at most/.test(detail) ? "too_long" : "no_text";
  return new Problem(code, detail);
}
