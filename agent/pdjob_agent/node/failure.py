"""Errors of actors are answers: an exception would reach the caller as text, without a code."""

from typing import Any


def failure(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
