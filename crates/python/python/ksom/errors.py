"""What can go wrong. Every error of ksom is a :class:`KsomError`; most are of a kind that Python has, too."""

__all__ = [
    "DataError",
    "DeviceError",
    "FileError",
    "FormatError",
    "HubError",
    "InternalError",
    "InvalidError",
    "KsomError",
    "MissingFileError",
    "NoModelError",
    "OutOfMemoryError",
    "PictureError",
    "TensorError",
    "TrainingError",
    "WrongModelError",
]


class KsomError(Exception):
    """An error of ksom."""


class FileError(KsomError, OSError):
    """A file cannot be read or written."""


class MissingFileError(FileError, FileNotFoundError):
    """A file is not there."""


class FormatError(KsomError, ValueError):
    """A file of a model, of codes or of a training is not what it should be."""


class PictureError(KsomError, ValueError):
    """A picture cannot be decoded, or is larger than is allowed."""


class DataError(KsomError, ValueError):
    """A data set is not what it should be."""


class InvalidError(KsomError, ValueError):
    """A value is out of bounds, or contradicts another."""


class NoModelError(KsomError, LookupError):
    """There is no model of that name."""


class WrongModelError(KsomError, ValueError):
    """Codes were made by another model, and mean nothing to this one."""


class HubError(KsomError):
    """A model on the Hub cannot be read."""

    #: What kind of problem: "authentication", "not found", "offline", "unavailable", "no model", "damaged", "refused" …
    problem: str = "other"


class DeviceError(KsomError, RuntimeError):
    """A device cannot be used."""


class OutOfMemoryError(KsomError, MemoryError):
    """More memory is needed than there is."""


class TrainingError(KsomError, RuntimeError):
    """A training cannot begin, or cannot go on."""


class TensorError(KsomError, RuntimeError):
    """A tensor operation failed."""


class InternalError(KsomError, RuntimeError):
    """A bug in ksom."""
