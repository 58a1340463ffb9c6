"""Mandarin neutral tones by grammar, and erhua; lexical ones (衣服, 月亮) come with the readings."""

from __future__ import annotations

from emotirt.text.zh_sentence import NEUTRAL, Sentence, Syllable, Word

# Sentence particles and suffixes with only a neutral reading when they stand as words or end one.
_PARTICLES = {"的": "de", "了": "le", "着": "zhe", "吗": "ma", "呢": "ne", "吧": "ba", "们": "men", "嘛": "ma", "么": "me"}
# Repeated words whose second half keeps its tone: adverbs, measure words, onomatopoeia, 'every'.
_FULL_REPEATS = frozenset((
    "天天", "年年", "月月", "日日", "人人", "家家", "户户", "处处", "事事", "常常", "往往", "刚刚", "渐渐", "慢慢",
    "偏偏", "仅仅", "频频", "纷纷", "缓缓", "悄悄", "默默", "深深", "轻轻", "牢牢", "紧紧", "狠狠", "静静", "久久",
    "步步", "层层", "种种", "个个", "件件", "样样", "条条", "句句", "字字", "次次", "代代", "夜夜", "时时", "刻刻",
    "哈哈", "呵呵", "嘻嘻", "嘿嘿", "呜呜", "哇哇", "汪汪", "滴滴", "嗡嗡", "隆隆", "大大", "小小", "高高", "远远",
    "早早", "好好", "满满", "整整", "足足", "白白", "明明", "暗暗", "偷偷", "默默", "单单", "万万", "千千", "生生",
    "苍苍", "茫茫", "洋洋", "滔滔", "浓浓", "淡淡", "厚厚", "薄薄", "长长", "短短", "红红", "圆圆", "甜甜", "亮亮",
    "胖胖", "瘦瘦", "冷冷", "热热", "微微", "稍稍", "屡屡", "每每", "一一", "历历", "孜孜", "津津", "斤斤", "源源",
    "蒸蒸", "欣欣", "炎炎", "重重", "双双", "对对", "声声", "点点", "丝丝", "阵阵", "片片", "朵朵", "滚滚", "熊熊",
    "彬彬", "区区", "堂堂", "草草", "匆匆", "急急", "真真", "切切", "恰恰", "统统", "通通", "死死", "直直",
    "呱呱", "喵喵", "咚咚", "叮叮", "当当", "砰砰", "咯咯", "吱吱", "沙沙", "哗哗", "潺潺", "翩翩", "楚楚", "依依",
    "恋恋", "念念", "想想看", "九九", "三三", "两两", "六六", "七七", "八八", "五五", "四四", "二二", "零零", "十十",
    "代代", "世世", "生生", "闪闪", "奄奄", "谆谆", "循循", "比比", "耿耿", "寥寥", "落落", "面面", "头头", "节节",
    "团团", "心心", "息息", "井井", "多多", "少少", "快快", "凉凉", "暖暖", "软软", "空空", "傻傻", "乖乖",
    "东东", "芳芳", "丽丽", "娜娜", "婷婷", "晶晶", "冰冰", "圆圆", "莹莹", "欢欢", "迎迎", "贝贝", "妮妮",
    "步步", "家家", "缕缕", "袅袅", "款款", "徐徐", "绵绵", "涓涓", "皑皑", "累累", "源源", "脉脉", "楚楚",
))  # fmt: skip
# Kin names and the like: the second half is neutral, but a third tone before it does not rise (奶奶, 姐姐).
_KIN_REPEATS = frozenset("奶姐嫂姥婶宝爸妈爷哥弟妹叔伯舅姑公婆太娃星猩蛐蝈饽宝")
# Verbs after which a word-final 过 is the light one of experience: 去过, 看过.
_EXPERIENCED_VERBS = frozenset("去吃来见听说做学用有买读写住坐想玩试爱问教喝看")
# Words ending in 儿 where it means child and is a full syllable.
_CHILD_WORDS = frozenset((
    "女儿", "婴儿", "幼儿", "孤儿", "少儿", "男儿", "健儿", "胎儿", "小儿", "宠儿", "弃儿", "产儿", "侄儿", "妻儿",
    "育儿", "患儿", "混血儿", "新生儿", "早产儿", "幸运儿", "孩儿", "女婴儿", "私生儿", "试管婴儿", "连体婴儿", "弄儿",
    "双胞胎儿", "生儿", "低能儿", "畸形儿", "流浪儿", "乞儿", "痴儿", "孪生儿", "外甥女儿", "干女儿", "独生女儿",
    "小女儿", "大女儿", "哪吒儿", "黑人女儿", "足月儿", "智障儿", "脑瘫儿", "牛郎儿", "犬儿", "娇儿", "爱儿", "吾儿",
    "宁馨儿", "弃婴儿", "麒麟儿", "佝偻儿", "巨婴儿", "吐儿", "伊儿", "格儿", "乌尔儿",
))  # fmt: skip
_CHILD_BEFORE = frozenset("女婴幼孤健胎宠弃产侄妻育患的和与、")


def apply_neutral_tones(sentence: Sentence) -> None:
    """Set neutral tones that follow from grammar, in place: particles and repeated words."""
    for position, word in enumerate(sentence.words):
        last = word.syllables[-1]
        if len(word.syllables) == 1:
            if sentence.words[:position] and word.text in _PARTICLES and last.letters == _PARTICLES[word.text]:
                last.tone = NEUTRAL
        elif last.hanzi == "们" or (last.hanzi in "的了着么" and last.letters == _PARTICLES[last.hanzi]):
            last.tone = NEUTRAL
        if len(word.syllables) in (2, 3):
            _repeat(word.syllables[:2], word.text[:2])
        if len(word.syllables) == 2 and last.hanzi == "过" and word.text[0] in _EXPERIENCED_VERBS:
            last.tone = NEUTRAL
    for left, right in zip(sentence.words, sentence.words[1:], strict=False):
        if len(left.text) == 1 and left.text == right.text:
            _repeat([left.syllables[0], right.syllables[0]], left.text + right.text)


def _repeat(pair: list[Syllable], text: str) -> None:
    first, second = pair
    if first.hanzi != second.hanzi or text in _FULL_REPEATS or first.letters != second.letters:
        return
    if first.hanzi not in _KIN_REPEATS and first.tone == 3:
        first.tone = 2
    second.tone = NEUTRAL


def apply_erhua(sentence: Sentence) -> None:
    """Merge a final 儿 into the syllable before it, in place, where it is not the word for child."""
    syllables = sentence.syllables
    for word in sentence.words:
        for offset, syllable in enumerate(word.syllables):
            index = word.start + offset
            if syllable.hanzi != "儿" or not index or not _is_suffix(sentence, word, offset):
                continue
            before = syllables[index - 1]
            if not before.silent and before.letters != "er":
                before.erhua = True
                syllable.silent = True


def _is_suffix(sentence: Sentence, word: Word, offset: int) -> bool:
    index = word.start + offset
    before = sentence.text[index - 1]
    if len(word.syllables) == 1:
        return before not in _CHILD_BEFORE and sentence.syllables[index - 1].tone != NEUTRAL
    if offset == len(word.syllables) - 1:
        return word.text not in _CHILD_WORDS and offset > 0
    return 0 < offset and before not in _CHILD_BEFORE and word.text[offset + 1] not in "育女童子孙科歌戏"
