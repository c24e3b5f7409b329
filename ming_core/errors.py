"""The errors of the engine: each says what was seen, what was expected and what to do."""


class MingError(Exception):
    """Base of every error the engine raises on purpose."""


class CheckpointError(MingError):
    """A checkpoint folder or one of its files cannot be used."""


class ConfigError(CheckpointError):
    """A config figure is missing, unsupported, or contradicts the tensors."""


class ContextError(MingError):
    """A latent context does not fit the model, or its file cannot be read."""


class PromptError(MingError):
    """A turn cannot be put into words: empty, too long, or with unusable parts."""


class AbilityError(MingError):
    """A model was asked for what its family cannot do."""


class NumericsError(MingError):
    """The model computed values that are no numbers."""


class RowError(MingError):
    """A list of prompts cannot be read: which line, and what to do."""


class ForeignError(MingError):
    """A file or an answer that others wrote cannot be read; whoever asked says what to do."""
