"""Sentences to speak for evaluation, without feeling of their own; nobody trained on them."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "He put the book back on the second shelf.",
        "What is in the bags under the kitchen table?",
        "They carried it upstairs, and now they are going down again.",
        "I will be there tomorrow at noon.",
        "On weekends I always go home and visit my sister.",
        "The letter came this morning, but nobody opened it.",
        "She wants to leave this here and come back later.",
        "In seven hours it will be time.",
    ),
    "zh": (
        "他把书放回了第二个书架上。",
        "厨房桌子下面的袋子里是什么？",
        "他们刚把它搬上楼，现在又要下楼了。",
        "我明天中午会到那里。",
        "周末我总是回家看望姐姐。",
        "信今天早上到了，可是没有人打开。",
        "她想把这个放在这里，以后再来拿。",
        "再过七个小时就到时间了。",
    ),
}
