"""What people ask for that the drawn world does not have, and what is answered then."""

from __future__ import annotations

from ming_core.univision.prompt import GENERATE_PREFIX

from ..scene import ALL_COLOURS, CELLS, Scene
from ..words import Mention
from .nouns import the_thing
from .requests import OPENERS
from .speech import Speech

ANSWER = {"en": "I only draw flat shapes.", "zh": "我只会画平面图形。"}
WORLDLY = 0.5  # share of strange things that are said to be of a colour, a size, a place
FRAMED = 0.2  # share of requests that the published frame precedes
GROUNDED = 0.25  # share of requests for them that name a background
STRANGERS = {
    "en": (
        "cat", "dog", "house", "tree", "car", "apple", "bird", "boat", "flower", "man", "woman",
        "mountain", "horse", "river", "cup", "table", "chair", "lamp", "fish", "cow", "sheep",
        "train", "plane", "bicycle", "castle", "dragon", "robot", "lion", "tiger", "bear", "rabbit",
        "mouse", "snake", "frog", "elephant", "monkey", "duck", "chicken", "pig", "wolf", "fox",
        "bee", "butterfly", "spider", "whale", "shark", "dolphin", "penguin", "owl", "eagle",
        "banana", "strawberry", "carrot", "tomato", "potato", "cake", "pizza",
        "bread", "burger", "cookie", "egg", "bottle", "glass of wine", "spoon", "knife", "fork",
        "plate", "bowl", "teapot", "candle", "clock", "watch", "phone", "computer", "keyboard",
        "camera", "television", "radio", "book", "newspaper", "pencil", "pen", "bag", "hat", "shoe",
        "shirt", "dress", "coat", "glove", "umbrella", "key", "door", "window", "roof", "bridge",
        "tower", "church", "school", "city", "village", "street", "garden", "forest", "beach",
        "island", "lake", "ocean", "desert", "waterfall", "cloud", "rainbow", "sunset", "moon",
        "planet", "rocket", "spaceship", "astronaut", "ship", "submarine", "bus", "truck",
        "motorbike", "tractor", "helicopter", "balloon", "kite", "doll", "guitar", "piano",
        "drum", "violin", "trumpet", "king", "queen", "princess", "knight", "wizard", "pirate",
        "ninja", "soldier", "doctor", "teacher", "baby", "child", "girl", "boy", "family",
        "portrait of a lady", "face", "hand", "eye", "landscape", "sunflower", "tulip",
        "mushroom", "cactus", "palm tree", "pumpkin", "snowman", "ghost", "skeleton", "unicorn",
        "dinosaur", "parrot", "cartoon character", "map", "flag", "sword",
        "spiral", "sphere", "pyramid", "cylinder", "letter A", "word", "number", "arrow",
    ),
    "zh": (
        "猫", "狗", "房子", "树", "汽车", "苹果", "鸟", "船", "花", "男人", "女人", "山", "马",
        "河", "杯子", "桌子", "椅子", "台灯", "鱼", "牛", "羊", "火车", "飞机", "自行车", "城堡",
        "龙", "机器人", "狮子", "老虎", "熊", "兔子", "老鼠", "蛇", "青蛙", "大象", "猴子",
        "鸭子", "鸡", "猪", "狼", "狐狸", "蜜蜂", "蝴蝶", "蜘蛛", "鲸鱼", "企鹅", "猫头鹰",
        "香蕉", "草莓", "胡萝卜", "番茄", "蛋糕", "面包", "鸡蛋", "瓶子", "勺子", "刀", "盘子",
        "碗", "茶壶", "蜡烛", "钟表", "手机", "电脑", "相机", "电视", "书", "报纸", "铅笔",
        "书包", "帽子", "鞋", "衬衫", "裙子", "雨伞", "钥匙", "门", "窗户", "桥", "塔", "教堂",
        "学校", "城市", "村庄", "街道", "花园", "森林", "海滩", "岛", "湖", "大海", "沙漠",
        "瀑布", "云", "彩虹", "日落", "月亮", "星球", "火箭", "宇航员", "公共汽车", "卡车",
        "摩托车", "气球", "风筝", "吉他", "钢琴", "国王", "公主", "骑士", "医生", "老师", "孩子",
        "女孩", "男孩", "人像", "脸", "眼睛", "风景", "蘑菇", "南瓜", "雪人", "恐龙", "地图",
        "旗子", "立方体", "球体", "箭头",
    ),
}  # fmt: skip
SCENES = {
    "en": (
        "", "", "", " in a garden", " at night", " in the snow", " by the sea", " in the rain",
        " under a tree", " in the style of an old painting", ", photorealistic", ", oil painting",
        " wearing a hat", " playing football", " made of glass", ", watercolour", " on a table",
        ", highly detailed", " with long hair", " eating an apple", " in space", ", 4k photo",
        " next to a house", " smiling",
    ),
    "zh": ("", "", "", "，照片", "，油画风格", "在花园里", "在雪地里", "，水彩画", "在海边",
           "，高清", "在夜里", "戴着帽子"),
}  # fmt: skip
CHANGES = {
    "en": (
        "add {n}", "put {n} {p}", "turn {t} into {n}", "replace {t} with {n}", "draw {n} too",
        "make {t} look like {n}", "I want {n} instead of {t}", "place {n} next to {t}",
        "now draw {n}", "change {t} into {n}", "also {n}", "{t} should become {n}",
    ),
    "zh": (
        "加{n}", "在{p}放{n}", "把{t}变成{n}", "把{t}换成{n}", "再画{n}", "把{t}改成{n}",
    ),
}  # fmt: skip
CHATTER = {
    "en": (
        "hello", "hi there", "how are you?", "write a poem about spring", "who are you?",
        "what can you do?", "tell me a joke", "what is the weather like?", "good morning",
        "what is the capital of France?", "translate this into German", "sing a song",
        "what is two plus two?", "help me with my homework", "what time is it?",
        "what is your name?", "write some code", "tell me a story", "can you draw anything else?",
        "what do you think about music?", "make a video", "who made you?", "play chess with me",
        "what else can you draw?",
    ),
    "zh": (
        "你好", "你是谁？", "你会做什么？", "讲个笑话", "今天天气怎么样？", "写一首诗",
        "早上好", "现在几点？", "唱首歌", "法国的首都是哪里？", "帮我写作业", "你还会画什么？",
    ),
}  # fmt: skip


def strange_request(speech: Speech) -> str:
    """Ask for a picture of what the drawn world does not have."""
    language = speech.language
    opener = speech.form(OPENERS[language]) if speech.often(0.75) else ""
    text = f"{opener}{'' if language == 'zh' else ' '}{_stranger(speech)}"
    text += speech.form(SCENES[language])
    if speech.often(GROUNDED):
        colour = speech.words.colour(speech.rng.choice(ALL_COLOURS))
        text += (
            f"，{colour}背景" if language == "zh" else f" on {speech.article(colour)} background"
        )
    return (GENERATE_PREFIX if speech.often(FRAMED) else "") + speech.typed(text)


def strange_change(speech: Speech, scene: Scene) -> str:
    """Ask to bring what the drawn world does not have into a picture."""
    thing = speech.rng.choice(scene.things)
    fill = {
        "t": the_thing(speech, Mention(thing.shape, thing.colour)),
        "n": _stranger(speech),
        "p": speech.to(speech.rng.choice(CELLS)),
    }
    return speech.typed(speech.form(CHANGES[speech.language]).format(**fill))


def chatter(speech: Speech) -> str:
    """Say something that is about no picture at all."""
    return speech.typed(speech.form(CHATTER[speech.language]))


def _stranger(speech: Speech) -> str:
    """Name a thing of another world, with what the drawn one knows of it or without."""
    language = speech.language
    name = speech.form(STRANGERS[language])
    said: list[str] = []
    if speech.often(WORLDLY):
        said.append(speech.words.colour(speech.rng.choice(ALL_COLOURS)))
    if speech.often(WORLDLY / 2):
        said.insert(0, speech.size(speech.rng.choice(("small", "large"))))
    if language == "zh":
        return "一个" + "".join(f"{word}的" for word in said) + name
    phrase = " ".join([*said, name])
    return phrase if speech.often(0.1) else speech.article(phrase)
