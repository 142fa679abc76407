"""Find the key of an NCBI account: in the environment, else in the keyring of the system, never in a file."""

from __future__ import annotations

import os
from collections.abc import Callable

VARIABLE = "NCBI_API_KEY"
SERVICE, USER = "leftoff", "ncbi"


def find_api_key(tell: Callable[[str], object]) -> str | None:
    """Return the key, None where there is none.

    tell: is told when a keyring is there and cannot be read; what is asked then goes without a key, only slower.
    """
    if key := os.environ.get(VARIABLE):
        return key
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, USER) or None
    except NoKeyringError:
        return None
    except KeyringError as error:
        tell(f"the keyring cannot be read ({type(error).__name__}): going on without an NCBI key")
        return None
