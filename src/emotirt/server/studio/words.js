// What the page says, in English and Chinese.

const WORDS = {
  en: {
    text: "Text", voice: "Voice", anyVoice: "default of the text's language", emotion: "Emotion", intensity: "Intensity", speed: "Speed", pitch: "Pitch", semitones: "semitones", ownVoice: "yours",
    deleteVoice: "Delete", deleteSure: "Really delete?",
    face: "A face that says it", pad: "Emotion wheel: arrow keys left and right choose the emotion, up and down its intensity",
    speak: "Speak", stop: "Stop", key: "API key", useKey: "Use",
    firstAudio: "Time to first audio", firstAudioServer: "of it in the server", received: "Audio received",
    spectrogram: "Spectrogram of what is playing", server: "Server",
    clone: "Clone a voice", cloneHow: "3 to 30 seconds of one person speaking, without music or noise. The recording itself is not kept.",
    cloneName: "Name of the voice", cloneFile: "or choose an audio file", record: "Record", stopRecording: "Stop recording",
    listen: "Listen", level: "Level", sample: "Recording:", create: "Make the voice", made: "The voice is there:",
    consent: "The person who is heard has agreed to this.",
    readThis: "To read: “The evening was quiet. Somebody laughed across the street, a door fell shut, and then there was only the rain, soft and steady, on the roofs of the old town.”",
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
      voice_exists: "There is a voice of this name already.",
      voice_not_found: "There is no such voice.",
      voice_unusable: "This voice cannot be used with this bundle.",
      consent_required: "A voice is made only of someone who has agreed. Tick the box.",
      invalid_audio: "This recording cannot be used.",
      sample_too_large: "The recording is too long.",
      invalid_form: "The server could not read the upload.",
      no_name: "Give the voice a name.",
      no_sample: "Record something first, or choose a file.",
      no_microphone: "The microphone cannot be used.",
      insecure: "Browsers record on https and localhost only. Choose a file instead.",
      other: "The server refused.",
    },
  },
  zh: {
    text: "文本", voice: "音色", anyVoice: "按文本语言选择默认音色", emotion: "情感", intensity: "强度", speed: "语速", pitch: "音高", semitones: "半音", ownVoice: "自制",
    deleteVoice: "删除", deleteSure: "确定删除？",
    face: "随语音开合的面孔", pad: "情感转盘：左右方向键选择情感，上下方向键调节强度",
    speak: "朗读", stop: "停止", key: "API 密钥", useKey: "使用",
    firstAudio: "首包延迟", firstAudioServer: "其中服务端", received: "已收到音频",
    spectrogram: "正在播放的声音的频谱图", server: "服务状态",
    clone: "克隆音色", cloneHow: "需要一个人 3 到 30 秒的语音，没有音乐和噪声。录音本身不会保存。",
    cloneName: "音色名称", cloneFile: "或选择音频文件", record: "录音", stopRecording: "停止录音",
    listen: "试听", level: "音量", sample: "录音：", create: "生成音色", made: "音色已生成：",
    consent: "录音中的说话人已经同意。",
    readThis: "请朗读：“夜晚很安静。街对面有人笑了起来，一扇门轻轻关上，然后只剩下雨声，温柔而平稳地落在老城的屋顶上。”",
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
      voice_exists: "已有同名音色。",
      voice_not_found: "没有这个音色。",
      voice_unusable: "当前模型包无法使用这个音色。",
      consent_required: "只有在说话人同意后才能生成音色，请勾选。",
      invalid_audio: "这段录音无法使用。",
      sample_too_large: "录音太长。",
      invalid_form: "服务无法读取上传的内容。",
      no_name: "请为音色取名。",
      no_sample: "请先录音，或选择文件。",
      no_microphone: "无法使用麦克风。",
      insecure: "浏览器只允许在 https 或 localhost 上录音，请选择文件。",
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
