"""What the simulators raise themselves.

::

    LongwireError
     └─ SimulatorError             anything of this package
         ├─ AdminRequestError      the admin plane refused a request: mend the request
         ├─ BookFullError          too many unfinished deliveries: wait until some are finished
         └─ ClientFrameError       a client sent bytes that are no frame: the client has a bug
"""

from longwire_protocol.errors import LongwireError

__all__ = ["AdminRequestError", "BookFullError", "ClientFrameError", "SimulatorError"]


class SimulatorError(LongwireError):
    """The base of this package's errors."""


class AdminRequestError(SimulatorError):
    """A request to the admin plane was refused; ``status`` is the HTTP status it is answered with."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class BookFullError(SimulatorError):
    """No room for another unfinished delivery; try again when clients have taken some."""


class ClientFrameError(SimulatorError):
    """Bytes from a client that cannot be read as a frame of the platform."""
