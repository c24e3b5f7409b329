"""Makes inputs a little or very wrong: JSON trees, bytes, and safetensors files.

Every choice comes from the dice it is given, so a case can be made again.
"""

import json
import struct
from collections.abc import Callable
from random import Random
from typing import Any

DEEP, TWICE, LONG_NUMBER = "\0deep\0", "\0twice\0", "\0number\0"  # written as what JSON cannot say
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e300, float("inf"), float("nan")),
    *(2**31 - 1, 2**31, 2**63, 10**18, -(10**18), "", " ", "0", "7", "a", "a/b", "..", "../x"),
    *("/etc/hostname", "a\0b", "\ud83d", "\N{PURPLE HEART}", "x" * 300, "y" * 100_000, "\n", "{0}"),
    *([], {}, [[]], [None], {"a": None}, [0], [0, 0], ["a"], DEEP, TWICE, LONG_NUMBER),
)
BODIES = ("", "null", "[]", "{}", '"text"', "7", "[" * 50, "{" * 3, "\0", "\ufeff{}", "NaN", "{}{}")
SOME = 4  # changes to one input, at most


def odd_value(dice: Random) -> Any:  # noqa: ANN401  any JSON
    """Return a value that hardly anybody expects."""
    value = dice.choice(ODD_VALUES)
    return dice.randint(-(2**40), 2**40) if value == 7 else value


def mutated_json(dice: Random, value: Any) -> bytes:  # noqa: ANN401  any JSON
    """Return JSON with a few places changed; sometimes it is none any more."""
    if dice.random() < 0.02:
        return dice.choice(BODIES).encode("utf-8", "surrogatepass")
    for _ in range(dice.randint(1, SOME)):
        value = mutated_tree(dice, value)
    text = json.dumps(value)
    depth = dice.choice((60, 101, 2000, 100_000))
    text = text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)
    text = text.replace(json.dumps(TWICE), '{"a": 1, "a": 2}')
    text = text.replace(json.dumps(LONG_NUMBER), "9" * dice.choice((19, 25, 400, 6000)))
    written = text.encode()
    return mutated_bytes(dice, written) if dice.random() < 0.15 else written


def mutated_tree(dice: Random, tree: Any) -> Any:  # noqa: ANN401
    """Return a copy of a tree of JSON with one place changed."""
    if not isinstance(tree, (dict, list)) or not tree:
        return _changed(dice, tree)
    if dice.random() < 0.03:
        return odd_value(dice)
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = dice.choice(keys)
    copy = tree.copy()
    if isinstance(copy[key], (dict, list)) and dice.random() < 0.8:
        copy[key] = mutated_tree(dice, copy[key])
        return copy
    return _with_a_change(dice, copy, key)


def _with_a_change(dice: Random, copy: Any, key: Any) -> Any:  # noqa: ANN401
    """Change one entry of an object or a list."""
    match dice.randrange(7):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[str(odd_value(dice))] = copy.pop(key)
        case 1:
            copy.insert(key, odd_value(dice))
        case 2 if isinstance(copy, list):
            return copy * dice.choice((2, 3, 50))
        case 3:
            other = dice.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
            copy[key], copy[other] = copy[other], copy[key]
        case 4:
            copy[key] = [copy[key]]
        case _:
            copy[key] = _changed(dice, copy[key])
    return copy


def _changed(dice: Random, value: Any) -> Any:  # noqa: ANN401
    """Return something else, often near what was there."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and dice.random() < 0.6:
        return dice.choice((value + 1, value - 1, value * 2, value // 2, -value, value * 10**6))
    if isinstance(value, str) and dice.random() < 0.4:
        middle = dice.randint(0, len(value))
        return dice.choice((value[:middle], value[middle:], value * 2, value + " ", value.upper()))
    return odd_value(dice)


def mutated_bytes(dice: Random, content: bytes) -> bytes:
    """Return bytes with some flipped, cut out, put in, doubled, or the end missing."""
    if not content:
        return dice.randbytes(dice.randint(0, 20))
    first = dice.randrange(len(content))
    last = min(len(content), first + dice.choice((1, 1, 2, 8, 100)))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: content[:first],
        lambda: content[:first] + content[last:],
        lambda: content[:first] + dice.randbytes(last - first) + content[last:],
        lambda: content[:last] + content[first:],
        lambda: content[:first] + dice.choice((b"\xff", b"\0", b"\xed\xa0\x80")) + content[first:],
        lambda: dice.choice((b"\xef\xbb\xbf", b"\xff\xfe")) + content,
    )
    return dice.choice(changes)()


def mutated_safetensors(dice: Random, content: bytes) -> bytes:
    """Return a safetensors file with its length, its header or its numbers changed."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = content[8 : 8 + length], content[8 + length :]
    match dice.randrange(6):
        case 0:
            return mutated_bytes(dice, content[: 8 + length]) + body
        case 1:
            wrong = dice.choice((0, 1, length - 1, length + 1, 10**8, 2**63, 2**64 - 1))
            return struct.pack("<Q", wrong) + header + body
        case 2:
            return content[: dice.randrange(len(content))]
        case 3:
            at = dice.randrange(len(body) // 4) * 4
            wrong = dice.choice((b"\xff\xff\xff\xff", b"\x00\x00\x80\x7f", b"\x7f\x80\x7f\x80"))
            return content[: 8 + length] + body[:at] + wrong + body[at + 4 :]
        case 4:
            return with_header(_mutated_entry(dice, json.loads(header)), body)
        case _:
            return with_header(mutated_json(dice, json.loads(header)), body)


def with_header(header: bytes, body: bytes) -> bytes:
    """Put a safetensors file together."""
    return struct.pack("<Q", len(header)) + header + body


def _mutated_entry(dice: Random, header: dict[str, Any]) -> bytes:
    """Change what a tensor is said to be, so that its bytes still fit now and then."""
    name = dice.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    match dice.randrange(5):
        case 0:
            entry["shape"] = entry["shape"][::-1]
        case 1:
            entry["shape"] = [1, *entry["shape"]]
        case 2:
            entry["dtype"] = dice.choice(("F32", "I32", "F16", "BF16", "F64", "BOOL", "U8", "F8"))
        case 3:
            other = dice.choice([name for name in header if name != "__metadata__"])
            header[name], header[other] = header[other], header[name]
        case _:
            header[dice.choice((name + "x", name.upper(), "model." + name))] = header.pop(name)
    return json.dumps(header).encode()
