# Load of a kind that no friendly program makes; runs on the node, as whoever abuses. Each prints
# "ready" when it is under way, keeps it up until a line comes in, and then says what it saw: "done …".
#
#   load.py stall PATH COUNT BYTE  COUNT connections to a socket, BYTE on each, which begins a request
#                                there, then nothing; one that is hung up on is made again
#   load.py connect COUNT        COUNT tries to connect to the system bus; those that it lets one uid have
#                                are held and ask for nothing; those that are refused are closed, as
#                                the bus itself takes no others while too many of them are open
#   load.py queue COUNT          COUNT calls at once on each of four connections, again and again
#   load.py logins               logins begun and cancelled, one after another
#   load.py forced               new tokens, one after another
import collections
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from bus import Bus  # noqa: E402


def ready():
    print("ready", flush=True)


def over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def stall(path, count, byte):
    held, made, refused = collections.deque(), 0, 0

    def one():
        nonlocal made, refused
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
            sock.send(byte.encode())
            made += 1
        except OSError:
            refused += 1
        held.append(sock)

    for _ in range(int(count)):
        one()
    ready()
    while not over():
        # Who is at the front has waited longest; the end of a connection can be read.
        for _ in range(min(500, len(held))):
            sock = held.popleft()
            try:
                gone = sock.recv(1) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                sock.close()
                one()
            else:
                held.append(sock)
        time.sleep(0.05)
    print("done made", made, "refused", refused)


def connect(count):
    held, refused, end = [], 0, time.monotonic() + 20
    for _ in range(int(count)):
        try:
            held.append(Bus(patience=5))
        except (OSError, SystemExit, struct.error):
            refused += 1
        if time.monotonic() > end:
            break
    ready()
    while not over():
        time.sleep(0.05)
    print("done held", len(held), "refused", refused)


def queue(count):
    seen, lines = collections.Counter(), [Bus() for _ in range(4)]
    first = True
    while first or not over():
        due = {}
        for bus in lines:
            # Waits for a change that does not come: each stays in flight for a while.
            due[bus] = {
                bus.send("org.iamd1.Accounts", "LoginState", "su", ["slow", "1000"])
                for _ in range(int(count))
            }
            if first and bus is lines[0]:
                ready()
        first = False
        for bus, serials in due.items():
            while serials:
                answers, error, _ = bus.answer()
                if answers in serials:
                    serials.remove(answers)
                    seen[(error or "ok").rsplit(".", 1)[-1]] += 1
    print("done", *(f"{name} {number}" for name, number in sorted(seen.items())))


def again(bus, *calls):
    seen = collections.Counter()
    ready()
    rounds = 0
    while rounds < 250 or not over():
        rounds += 1
        for interface, method, signature, arguments in calls:
            error, _ = bus.wait(bus.send(interface, method, signature, arguments))
            seen[method + " " + (error or "ok").rsplit(".", 1)[-1]] += 1
    print("done", *(f"{name} {number}" for name, number in sorted(seen.items())))


def logins():
    accounts = "org.iamd1.Accounts"
    again(Bus(), (accounts, "Login", "sa{sv}", [""]), (accounts, "CancelLogin", "s", [""]))


def forced():
    again(Bus(), ("org.iamd1.Tokens", "GetToken", "sF", [""]))


if __name__ == "__main__":
    {"stall": stall, "connect": connect, "queue": queue, "logins": logins, "forced": forced}[
        sys.argv[1]
    ](*sys.argv[2:])
