// What the page says, in English and Chinese.

const WORDS = {
  en: {
    text: "Text", voice: "Voice", anyVoice: "default of the text's language", emotion: "Emotion", intensity: "Intensity", speed: "Speed",
    speak: "Speak", stop: "Stop", key: "API key", useKey: "Use",
    firstAudio: "Time to first audio", firstAudioServer: "of it in the server", received: "Audio received",
    spectrogram: "Spectrogram of what is playing", server: "Server",
    waiting: "Waiting for audio …", playing: "Playing …", ended: "Done.", stopped: "Stopped.",
    status: "State", bundle: "Bundle", backend: "Backend", running: "Running", ended_requests: "Requests", refused: "Refused",
    mean_first_audio: "Mean first audio", audio_made: "Audio made",
    ready: "ready", degraded: "degraded", closed: "closed", away: "no answer", needs_key: "needs the API key",
    languages: { en: "English", zh: "Chinese" }, sexes: { female: "female", male: "male" },
    example: "Hello! How are you feeling today?",
    problems: {
      unreachable: "The server does not answer. Is it running?",
      cut: "The server broke off while it was speaking.",
      silent: "The browser gives no audio output.",
      no_text: "There is no text to speak. Type one.",
      empty_text: "There is nothing in this text that can be spoken.",
      too_long: "The text is too long.",
      text_too_long: "The text is too long.",
      body_too_large: "The text is too long.",
      invalid_api_key: "The server wants an API key that it knows. Enter one.",
      rate_limit_exceeded: "The server is busy. Try again in a moment.",
      deadline_exceeded: "The server had no audio in time. Try again, or a shorter text.",
      shutting_down: "The server is shutting down.",
      backend_failed: "The server's backend failed.",
      backend_unavailable: "The server's backend is not available.",
      unknown_voice: "The server does not know this voice.",
      unknown_emotion: "The server does not know this emotion.",
      other: "The server refused.",
    },
  },
  zh: {
    text: "文本", voice: "音色", anyVoice: "按文本语言选择默认音色", emotion: "情感", intensity: "强度", speed: "语速",
    speak: "朗读", stop: "停止", key: "API 密钥", useKey: "使用",
    firstAudio: "首包延迟", firstAudioServer: "其中服务端", received: "已收到音频",
    spectrogram: "正在播放的声音的频谱图", server: "服务状态",
    waiting: "等待音频……", playing: "正在播放……", ended: "完成。", stopped: "已停止。",
    status: "状态", bundle: "模型包", backend: "后端", running: "进行中", ended_requests: "请求数", refused: "已拒绝",
    mean_first_audio: "平均首包延迟", audio_made: "已生成音频",
    ready: "就绪", degraded: "降级运行", closed: "已关闭", away: "无响应", needs_key: "需要 API 密钥",
    languages: { en: "英语", zh: "中文" }, sexes: { female: "女声", male: "男声" },
    example: "你好！今天心情怎么样？",
    problems: {
      unreachable: "服务没有响应。它在运行吗？",
      cut: "服务在朗读途中中断了。",
      silent: "浏览器无法输出声音。",
      no_text: "没有要朗读的文本，请输入。",
      empty_text: "这段文本中没有可以朗读的内容。",
      too_long: "文本太长。",
      text_too_long: "文本太长。",
      body_too_large: "文本太长。",
      invalid_api_key: "服务需要有效的 API 密钥，请输入。",
      rate_limit_exceeded: "服务繁忙，请稍后再试。",
      deadline_exceeded: "服务未能及时给出音频。请重试，或缩短文本。",
      shutting_down: "服务正在关闭。",
      backend_failed: "服务的后端出错。",
      backend_unavailable: "服务的后端不可用。",
      unknown_voice: "服务不认识这个音色。",
      unknown_emotion: "服务不认识这种情感。",
      other: "服务拒绝了请求。",
    },
  },
};
const REMEMBERED = "emotirt-language";

let language = remembered() ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** The words of the chosen language. */
export const words = () => WORDS[language];

export const chosenLanguage = () => language;

/** Whether a text is an example of some language, so that it may be exchanged for another. */
export const isExample = (text) => Object.values(WORDS).some((some) => some.example === text);

export function chooseLanguage(name) {
  language = name;
  try {
    localStorage.setItem(REMEMBERED, name);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
}

function remembered() {
  try {
    const name = localStorage.getItem(REMEMBERED);
    return name in WORDS ? name : null;
  } catch {
    return null;
  }
}
