"""A program on a terminal, with somebody who types."""
import os
import pty
import select
import signal
import time


class Terminal:
    def __init__(self, *command):
        self.seen = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(command[0], [str(c) for c in command])
        self.pid = pid

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come: {self.seen[-500:]!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += os.read(self.fd, 4096)
        before, _, self.seen = self.seen.partition(text.encode())
        return before.decode(errors="replace")

    def prompt(self):
        self.wait_for("> ")
        time.sleep(0.3)  # the editor sets the terminal up

    def status(self):
        try:
            while select.select([self.fd], [], [], 30)[0] and os.read(self.fd, 4096):
                pass
        except OSError:  # the other end is closed
            pass
        else:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
