"""The exceptions of virpack: each with a hint, and with the command's exit code for it."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Any error of virpack.

    Parameters
    ----------
    message
        What happened, and where.
    hint
        What to do about it; None if there is no hint.
    **facts
        The facts of the message as values, for programs: they become attributes.

    Attributes
    ----------
    message : str
    hint : str | None
    facts : dict[str, Any]
    exit_code : int
        1 for input and options, 2 for a fault of virpack: the exit code of ``virpack`` for the same error.
    """

    exit_code: int = 2

    def __init__(self, message: str, hint: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = facts.pop("exit_code", type(self).exit_code)
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        # Only for names that are not set: `facts` itself may be missing while an error is unpickled.
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (type(self), self.message, self.hint, {"exit_code": self.exit_code, **self.facts}))


def _restored(kind: type[Error], message: str, hint: str | None, facts: dict[str, Any]) -> Error:
    return kind(message, hint, **facts)


class InputError(Error, ValueError):
    """An input or an option that cannot be used."""

    exit_code = 1


class ModelError(Error, ValueError):
    """A model that is not found, is damaged, or does not fit the input."""

    exit_code = 1


class DeviceError(Error, RuntimeError):
    """A device that cannot be used, or that failed."""

    exit_code = 1


class OutOfMemory(DeviceError, MemoryError):
    """Memory that cannot hold the model and its smallest batch."""


class OutputError(Error, OSError):
    """An output that cannot be written."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None, **facts: Any) -> None:
        Error.__init__(self, message, hint, **facts)
