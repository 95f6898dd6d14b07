"""What a file computes: sessions, comparison with the model, inspection."""

from tfzip.runtime.session import Session, SessionOp, open_session

__all__ = ["Session", "SessionOp", "open_session"]
