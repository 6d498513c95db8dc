"""A client that goes on until it is told to stop, and keeps the account of its messages.

Invariants
- `due` holds what was confirmed (or may have been stored) and has not come back: it is empty when
  the worker has drained, else something was lost.
- A number that was never published does not come; if it does, that is an error.
- Errors are kept, never swallowed: only the end of a connection that a kill of the node explains
  is no error.
"""

import http.client
import threading
import time

import pika.exceptions
import websockets.exceptions

# How the end of a connection shows itself in the clients that are used here.
GONE = (pika.exceptions.AMQPError, OSError, EOFError, http.client.HTTPException,
        websockets.exceptions.WebSocketException)
ERRORS_KEPT_MAX = 20


class Worker(threading.Thread):
    """Opens, steps at a pace, closes; a subclass says what that is."""

    title = ""
    pause_s = 0.1
    # Does a kill take what it published?
    transient = False

    def __init__(self, node, rate):
        super().__init__(daemon=True, name=self.title)
        self.node, self.pause_s = node, self.pause_s / rate
        self.publishing, self.over = True, False
        self.lock = threading.Lock()
        self.due, self.next, self.steps = set(), 0, 0
        self.delivered = self.again = self.reconnects = self.missing = 0
        self.errors = []

    # What a subclass gives.

    def open(self):
        """Connects, and declares what is needed."""

    def step(self):
        """A few publishes, and whatever has come."""

    def close(self):
        """Ends the connections; they may be gone already."""

    def clear(self):
        """Deletes all that it declared."""

    # What is the same for all.

    def run(self):
        """Lives until it is told to stop, and has drained."""
        while not self.over:
            epoch = self.node.wait_up()
            try:
                self.open()
                while not self.over:
                    began = time.monotonic()
                    self.step()
                    self.steps += 1
                    time.sleep(max(0.0, self.pause_s - (time.monotonic() - began)))
            except GONE as error:
                self.reconnects += 1
                if self.node.same_life(epoch):
                    self.wrong(f"{type(error).__name__} {error}")
                    time.sleep(0.5)
                elif self.transient:
                    self.due.clear()
            except Exception as error:  # told at the end, and the soak has failed
                self.wrong(f"{type(error).__name__} {error}")
                time.sleep(0.5)
            finally:
                self.quietly(self.close)

    def quietly(self, act):
        """Does it; what fails because the connection is gone does not matter."""
        try:
            act()
        except GONE:
            pass

    def wrong(self, what):
        """Keeps an error."""
        with self.lock:
            if len(self.errors) < ERRORS_KEPT_MAX:
                self.errors.append(" ".join(what.split())[:300])

    def number(self):
        """The next message's number: from now on it is due."""
        with self.lock:
            number = self.next
            self.next += 1
            self.due.add(number)
        return number

    def unsure(self, number):
        """Nobody can know whether it was stored."""
        with self.lock:
            self.due.discard(number)

    def came(self, body):
        """A message has come for good. Gives its number."""
        number = int(bytes(body[:12]))
        with self.lock:
            self.delivered += 1
            if number >= self.next:
                self.errors.append(f"message {number} was never published")
            elif number in self.due:
                self.due.remove(number)
            else:
                self.again += 1
        return number

    def body(self, number, size_bytes=12):
        """Says which message it is."""
        return b"%012d" % number + b"." * (size_bytes - 12)

    def drain(self, until):
        """Waits for what is still to come; what has not come by then is missing."""
        while self.due and time.monotonic() < until:
            time.sleep(0.1)
        with self.lock:
            self.missing = len(self.due)
            if self.due:
                self.errors.append(f"missing: {sorted(self.due)[:10]} of {self.next}")

    def end(self):
        """Ends the thread, and deletes what it declared."""
        self.over = True
        self.join(30)
        if self.is_alive():
            self.wrong("hangs")
            return
        try:
            self.clear()
        except Exception as error:  # told at the end, and the soak has failed
            self.wrong(f"clean-up: {type(error).__name__} {error}")
