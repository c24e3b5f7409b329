"""The words in which people ask for a change, kind by kind, in two languages."""

from __future__ import annotations

# {t} the thing, {b} it without article, {c} a colour, {art} that with an article, {s} a size,
# {p} to a place, {n} a new thing, {k} a shape with its article.
CHANGES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "recolour": (
            "I'd rather have {t} in {c}", "{t} should be {c}", "I want {t} to be {c}",
            "colour {t} {c}", "can {t} be {c}?", "give {t} the colour {c}", "turn {t} {c}",
            "change {t} to {c}", "I'd like {t} to be {c}", "let {t} be {c}",
            "make the colour of {t} {c}", "could {t} be {c} instead?", "{t} in {c}",
            "I would like {t} {c}", "make {t} {c} instead", "recolour {t} in {c}",
            "{t} must be {c}", "what if {t} was {c}?", "I want {t} in {c}",
            "set the colour of {t} to {c}", "can you make {t} {c}?", "dye {t} {c}",
            "{t} should become {c}", "I'd prefer {t} in {c}",
        ),
        "reshape": (
            "I'd rather have {k} than {t}", "make {t} {k}", "{t} should be {k}",
            "change {t} into {k}", "turn {t} to {k}", "{t} should become {k}",
            "I want {t} to be {k}", "transform {t} into {k}", "can {t} be {k}?",
            "let {t} be {k}", "make {k} of {t}", "could you turn {t} into {k}?",
            "give {t} the shape of {k}", "I'd like {t} to be {k}", "make {t} {k} instead",
            "{t} as {k}",
        ),
        "move": (
            "bring {t} {p}", "shift {t} {p}", "I want {t} {p}", "{t} should be {p}",
            "place {t} {p}", "{t} belongs {p}", "{t} should go {p}", "can you move {t} {p}?",
            "move {t} over {p}", "I'd like {t} {p}", "let {t} be {p}",
            "could {t} be {p} instead?", "set {t} {p}", "take {t} {p}",
            "I'd rather have {t} {p}", "push {t} {p}", "{t} has to be {p}",
            "{t} {p}, not where it is", "slide {t} {p}", "get {t} {p}",
        ),
        "resize": (
            "I want {t} {s}", "{t} should be {s}", "change {t} to {s}", "can {t} be {s}?",
            "I'd like {t} to be {s}", "give {t} the size {s}", "I'd rather have {t} {s}",
            "let {t} be {s}", "set the size of {t} to {s}", "{t} should become {s}",
            "make {t} {s} instead", "draw {t} {s} instead", "resize {t} to {s}",
            "{t} needs to be {s}", "make {t} a {s} one", "turn {t} into a {s} one",
            "{t} has to be {s}", "I want a {s} {b}", "{t}: {s}", "make the size of {t} {s}",
            "{s} instead, {t}", "let me have {t} {s}", "could you make {t} {s}?",
            "{t} {s}, please",
        ),
        "grow": (
            "make {t} bigger", "enlarge {t}", "make {t} larger", "{t} should be bigger",
            "increase the size of {t}", "blow {t} up", "I want {t} bigger", "{t} is too small",
            "let {t} grow", "grow {t}", "can you make {t} bigger?",
            "I'd like a bigger one instead of {t}", "scale {t} up", "could {t} be larger?",
            "make {t} a bit bigger", "{t} a little larger", "increase {t}", "expand {t}",
            "{t} should be larger", "bigger {b}", "a bigger {b}", "make {t} much bigger",
            "{t} twice as big", "double the size of {t}", "I want a larger {b}",
            "magnify {t}", "{t} must grow", "make {t} grow", "could you enlarge {t}?",
        ),
        "shrink": (
            "make {t} smaller", "shrink {t}", "{t} should be smaller", "reduce the size of {t}",
            "{t} is too big", "scale {t} down", "I want {t} smaller", "{t} is too large",
            "let {t} shrink", "can you make {t} smaller?", "decrease the size of {t}",
            "I'd prefer a smaller one than {t}", "reduce {t}", "could {t} be smaller?",
            "make {t} a bit smaller", "{t} a little smaller", "scale down {t}", "cut {t} down",
            "smaller {b}", "a smaller {b}", "make {t} much smaller", "{t} half as big",
            "halve the size of {t}", "I want a smaller {b}", "{t} must shrink",
            "make {t} shrink", "let {t} be smaller", "could you shrink {t}?", "lessen {t}",
        ),
        "add": (
            "put {n}", "I want {n} too", "also draw {n}", "there should also be {n}",
            "insert {n}", "include {n} as well", "can you add {n}?", "I'd like {n} as well",
            "and {n}", "I also want {n}", "put {n} in", "what about {n} too?", "place {n}",
            "please also put {n}", "give me {n} too", "add {n} to it", "there is also {n}",
            "I'd love to see {n} as well", "now also {n}", "could you draw {n} too?",
            "one more: {n}",
        ),
        "remove": (
            "I don't want {t} any more", "get rid of {t}", "erase {t}", "I don't need {t}",
            "without {t}", "throw {t} out", "no more {b}", "I don't want {t}", "{t} should go",
            "drop {t}", "{t} should not be there", "{t} has to go", "take out {t}",
            "can you remove {t}?", "leave out {t}", "{t} must disappear", "wipe {t} out",
            "I'd like {t} gone", "make {t} disappear", "I want {t} gone",
            "take {t} off the picture", "lose {t}", "please no {b}", "do away with {t}",
            "let {t} vanish", "could you take {t} out?", "clear {t} away",
        ),
        "replace": (
            "I'd rather have {n} instead of {t}", "swap {t} for {n}", "put {n} where {t} is",
            "{n} instead of {t}", "instead of {t} I want {n}", "substitute {n} for {t}",
            "change {t} into {n}", "turn {t} into {n}", "{t} should become {n}", "make {t} {n}",
            "I want {n} in place of {t}", "trade {t} for {n}", "I'd like {n} instead of {t}",
            "draw {n} instead of {t}", "can {t} be {n}?", "put {n} in place of {t}",
        ),
        "background": (
            "I want {art} background", "the background should be {c}",
            "set the background to {c}", "{art} background, please", "use {art} background",
            "make everything behind it {c}", "I'd rather have {art} background",
            "put it on {art} background", "turn the background {c}", "colour the background {c}",
            "let the background be {c}", "background {c} instead", "background {c}",
            "give it {art} background", "can the background be {c}?", "put it on {c}",
            "make it {art} background", "could we have {art} background?",
            "change the background colour to {c}", "I'd like the background {c}",
            "the background in {c}", "now on {c}",
        ),
        "outline": (
            "only the outline of {t}", "make {t} just an outline", "empty {t}",
            "leave only the outline of {t}", "{t} should be hollow", "I want {t} hollow",
        ),
        "fill": (
            "fill {t} in", "make {t} solid", "{t} should be filled", "fill {t} with its colour",
            "I want {t} filled", "colour in {t}",
        ),
        "copy": (
            "draw it again", "show it once more", "draw the same picture",
            "give me the same again", "draw this again", "the same once more", "repeat this",
            "do not change anything", "leave it as it is", "same picture again",
        ),
        "sharpen": (
            "make it sharper", "sharpen it", "sharpen this", "make it sharp",
            "make the picture clearer", "improve the quality", "this is blurry, fix it",
            "make it clear", "remove the blur", "it is too blurry", "make this picture sharp",
            "enhance it", "can you sharpen this?", "make the image sharper", "less blurry",
            "improve this picture", "make the edges sharp", "restore the sharpness",
            "clean it up", "give it sharp edges", "make it crisp", "increase the sharpness",
            "I want it sharper", "get rid of the blur",
        ),
    },
    "zh": {
        "recolour": (
            "把{t}改成{c}", "{t}改成{c}", "我想要{t}是{c}的", "把{t}换成{c}", "{t}要{c}的",
            "让{t}变成{c}", "{t}变成{c}", "把{t}的颜色改成{c}", "{t}应该是{c}的", "将{t}涂成{c}",
            "请把{t}变{c}", "能不能把{t}弄成{c}",
        ),
        "reshape": (
            "把{t}改成{k}", "{t}改成{k}", "让{t}变成{k}", "我想让{t}变成{k}", "{t}变成{k}",
            "把{t}弄成{k}",
        ),
        "move": (
            "把{t}放到{p}", "把{t}移动到{p}", "{t}移到{p}", "{t}放在{p}", "让{t}到{p}去",
            "把{t}挪到{p}", "把{t}放在{p}", "{t}应该在{p}", "将{t}移至{p}", "我想要{t}在{p}",
            "请把{t}移到{p}", "把{t}换到{p}",
        ),
        "resize": (
            "把{t}改成{s}的", "{t}要{s}的", "让{t}变成{s}的", "{t}改成{s}的", "我想要{t}是{s}的",
            "把{t}弄成{s}的",
        ),
        "grow": (
            "把{t}变大", "把{t}放大", "{t}大一点", "让{t}大一些", "{t}太小了", "放大{t}",
            "把{t}弄大点", "{t}再大一点", "把{t}变大一点", "{t}要大一些", "我想要大一点的{t}",
            "让{t}变大",
        ),
        "shrink": (
            "把{t}变小", "把{t}缩小", "{t}小一点", "让{t}小一些", "{t}太大了", "缩小{t}",
            "把{t}弄小点", "{t}再小一点", "把{t}变小一点", "{t}要小一些", "我想要小一点的{t}",
            "让{t}变小",
        ),
        "add": (
            "再加{n}", "还要{n}", "再画{n}", "加{n}", "我还想要{n}", "添上{n}", "增加{n}",
            "请加上{n}", "还有{n}", "另外画{n}",
        ),
        "remove": (
            "我不想要{t}了", "不要{t}", "把{t}去掉", "把{t}删掉", "擦掉{t}", "{t}不要了",
            "删掉{t}", "把{t}删了", "请去掉{t}", "让{t}消失", "把{t}拿走", "不要{t}了",
        ),
        "replace": (
            "把{t}换成{n}", "把{t}改成{n}", "{t}换成{n}", "不要{t}，要{n}", "我想要{n}，不要{t}",
            "用{n}换掉{t}",
        ),
        "background": (
            "背景改成{c}", "背景换成{c}", "把背景换成{c}", "我想要{c}背景", "背景要{c}的",
            "背景用{c}", "换个{c}背景", "用{c}的背景", "让背景变成{c}", "把背景改成{c}的",
            "背景变成{c}", "底色改成{c}",
        ),
        "outline": (
            "{t}只要轮廓", "只留{t}的轮廓", "让{t}变空心", "{t}改成空心的", "把{t}改成空心",
            "{t}要空心的",
        ),
        "fill": (
            "{t}改成实心的", "让{t}变实心", "填满{t}", "把{t}改成实心", "{t}要实心的",
            "把{t}填上",
        ),
        "copy": ("再画一遍", "画一样的", "重画这张图", "再来一张一样的", "不要改", "保持不变"),
        "sharpen": (
            "变清晰", "让它更清晰", "清晰一点", "太模糊了", "把图变清晰", "锐化一下",
            "提高清晰度", "去掉模糊", "弄清楚一点", "让图片清楚一点", "图片不清楚，修一下",
            "请让它清晰",
        ),
    },
}  # fmt: skip
LEADS = {
    "en": (
        "", "", "", "", "please ", "could you please: ", "ok, ", "now ", "and now ", "great. ",
        "nice, but ", "actually, ", "then ", "next, ", "hm, ", "please, ", "thanks. Now ",
        "one more thing: ", "also, ", "so ", "well, ", "on second thought, ", "good. ", "but ",
    ),
    "zh": ("", "", "", "", "请", "好的，", "现在", "然后", "接着", "很好，", "麻烦", "嗯，"),
}  # fmt: skip
CLOSERS = {
    "en": (
        "", "", "", " please", ", please", " instead", " now", ", thanks", "!",
        " and leave the rest", ", ok?", ", and keep everything else", ", nothing else",
        " and change nothing else", " but keep the rest", ", everything else stays",
        ", the rest as it is", " and leave everything else as it is",
    ),
    "zh": ("", "", "", "，谢谢", "吧", "，其他不变", "，别的不要动", "，其余保持不变"),
}  # fmt: skip
