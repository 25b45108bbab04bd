"""Where the build and the data lie; set by `make test`."""
import ctypes
import os
import pathlib
import signal

import pytest

# Under nohup SIGHUP is ignored, here and in all that is started from here; a handler of our own goes back to the default in them.
signal.signal(signal.SIGHUP, lambda *_: None)

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MOIETY_BUILD", ROOT / "build"))
SHARED = pathlib.Path(os.environ.get("MOIETY_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def codec_lib():
    return ctypes.CDLL(str(BUILD / "libmoiety_codec_test.so"))


@pytest.fixture(scope="session")
def moiety():
    return str(BUILD / "moiety")
