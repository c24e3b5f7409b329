"""The control tokens that a conversation with Ming-UniVision is made of (SPEC section 6)."""

from tokenizers import Tokenizer

from ..text_tokenizer import Control, TextTokenizer

EOS = "<|endoftext|>"
ROLE, ROLE_END = "<role>", "</role>"
IMAGE, IMAGE_PATCH, IMAGE_END = "<image>", "<imagePatch>", "</image>"
CONTROL_TOKENS = (EOS, ROLE, ROLE_END, IMAGE, IMAGE_PATCH, IMAGE_END)
USER, ASSISTANT = "HUMAN", "ASSISTANT"


def role_prefix(role: str) -> list[str | Control]:
    """Return what opens a role's words."""
    return [Control(ROLE), role, Control(ROLE_END)]


class ConversationTokenizer(TextTokenizer):
    """The published tokenizer, and the ids and prefixes that turns are made of."""

    controls = CONTROL_TOKENS

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer) -> None:
        super().__init__(tokenizer, plain)
        self.eos, self.image = self.ids[EOS], self.ids[IMAGE]
        self.image_patch, self.image_end = self.ids[IMAGE_PATCH], self.ids[IMAGE_END]
        self.user_prefix = self.encode(role_prefix(USER))
        self.assistant_prefix = self.encode(role_prefix(ASSISTANT))
