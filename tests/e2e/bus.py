# A D-Bus client in one file, for what busctl cannot do: error names, many calls in flight on one
# connection, and times without the start of a program in them. Runs on the node, as a user.
#
#   bus.py call INTERFACE METHOD SIGNATURE [ARGUMENT...]      "ok TEXT" or "error NAME TEXT"
#   bus.py flood COUNT SECONDS INTERFACE METHOD SIGNATURE ...  a line per answer within SECONDS
#   bus.py listen                                              everything that reaches us, others' if the bus goes along
#   bus.py compare ROUNDS UNDO NAME,NAME... INTERFACE METHOD SIGNATURE [ARGUMENT...]
#       In each round the call once for each name, in an order of chance, with the name where an
#       argument is "@"; UNDO is a method that takes the name afterwards, with its signature behind a
#       colon if that is not s, or "-". Prints for each name "times NAME NANOSECONDS...", and
#       "answer NAME TEXT" for each answer it had.
#
# Of signatures it knows s, u, b, a{sv} (always empty), h and a{sh}: for h an argument is what comes out
# of a pipe, for a{sh} it is NAME=WHAT, or "-" for none.
import gc
import os
import random
import socket
import struct
import sys
import time


def pad(data, to):
    return data + b"\0" * (-len(data) % to)


def string(text):
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def field(code, kind, text):
    return bytes([code, 1]) + kind.encode() + b"\0" + string(text)


def pipe_with(text):
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    return reader


def body_of(signature, arguments):
    body, left, fds = b"", list(arguments), []
    kinds = signature.replace("a{sv}", "d").replace("a{sh}", "f")
    for kind in kinds:
        if kind == "s":
            body = pad(body, 4) + string(left.pop(0))
        elif kind in "ub":
            body = pad(body, 4) + struct.pack("<I", int(left.pop(0)))
        elif kind == "h":
            body = pad(body, 4) + struct.pack("<I", len(fds))
            fds.append(pipe_with(left.pop(0)))
        elif kind == "f" and (one := left.pop(0)) != "-":
            name, text = one.split("=", 1)
            entry = pad(string(name), 4) + struct.pack("<I", len(fds))
            fds.append(pipe_with(text))
            body = pad(pad(body, 4) + struct.pack("<I", len(entry)), 8) + entry
        elif kind in "df":  # the empty dictionary
            body = pad(pad(body, 4) + struct.pack("<I", 0), 8)
        elif kind == "F":  # a dictionary in which `force_new` is true
            body = pad(pad(body, 4) + struct.pack("<I", 24), 8)
            body = pad(body + string("force_new") + b"\x01b\0", 4) + struct.pack("<I", 1)
    return body, fds


class Bus:
    def __init__(self, patience=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)
        self.socket.connect("/run/dbus/system_bus_socket")
        self.stream = self.socket.makefile("rb")
        self.serial = 0
        uid = str(os.getuid()).encode().hex().encode()
        self.socket.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\n")
        if not self.stream.readline().startswith(b"OK"):
            sys.exit("the bus refuses us")
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        if not self.stream.readline().startswith(b"AGREE_UNIX_FD"):
            sys.exit("the bus takes no descriptors")
        self.socket.sendall(b"BEGIN\r\n")
        bus = "org.freedesktop.DBus"
        error, text = self.wait(self.send(bus, "Hello", "", [], bus, "/org/freedesktop/DBus"))
        if error:
            self.socket.close()
            raise ConnectionRefusedError(text)

    def send(self, interface, method, signature, arguments, to="org.iamd1", path="/org/iamd1"):
        self.serial += 1
        body, fds = body_of(signature, arguments)
        fields = b""
        wanted = [field(1, "o", path), field(2, "s", interface), field(3, "s", method)]
        for one in [*wanted, field(6, "s", to)]:
            fields = pad(fields, 8) + one
        if signature:
            raw = signature.replace("F", "a{sv}").encode()
            fields = pad(fields, 8) + b"\x08\x01g\0" + bytes([len(raw)]) + raw + b"\0"
        if fds:
            fields = pad(fields, 8) + b"\x09\x01u\0" + struct.pack("<I", len(fds))
        head = struct.pack("<BBBBIII", ord("l"), 1, 0, 1, len(body), self.serial, len(fields))
        message = pad(head + fields, 8) + body
        sent = socket.send_fds(self.socket, [message], fds) if fds else 0
        self.socket.sendall(message[sent:])
        for fd in fds:
            os.close(fd)
        return self.serial

    def answer(self):
        """(serial it answers, error name or None, text)"""
        kind, length, size = struct.unpack("<xBxxI4xI", self.stream.read(16))
        fields = self.stream.read(size + -size % 8)
        body = self.stream.read(length)
        at, answers, error, signature, self.last = 0, 0, None, "", ""
        while at < size:
            at += -at % 8
            code, sort = fields[at], chr(fields[at + 2])
            at += 4
            if sort == "g":
                value, at = fields[at + 1:at + 1 + fields[at]].decode(), at + fields[at] + 2
            elif sort == "u":
                value, at = struct.unpack_from("<I", fields, at)[0], at + 4
            else:
                count = struct.unpack_from("<I", fields, at)[0]
                value, at = fields[at + 4:at + 4 + count].decode(), at + count + 5
            self.last += f"{value} " if code in (1, 2, 3) else ""
            answers = value if code == 5 else answers
            error = value if code == 4 else error
            signature = value if code == 8 else signature
        if signature.startswith("s"):
            text = body[4:4 + struct.unpack_from("<I", body)[0]].decode()
        else:
            text = "".join(chr(c) if 32 <= c < 127 else " " for c in body)
        return answers if kind in (2, 3) else 0, error, text

    def wait(self, serial):
        while True:
            answers, error, text = self.answer()
            if answers == serial:
                return error, text


def shown(error, text):
    text = " ".join(text.split())
    return f"error {error} {text}" if error else f"ok {text}".rstrip()


def show(error, text):
    print(shown(error, text), flush=True)


def call(bus, interface, method, signature, *arguments):
    show(*bus.wait(bus.send(interface, method, signature, arguments)))


def flood(bus, count, seconds, interface, method, signature, *arguments):
    for _ in range(int(count)):
        bus.send(interface, method, signature, arguments)
    end = time.monotonic() + float(seconds)
    try:
        while time.monotonic() < end:
            bus.socket.settimeout(max(0.01, end - time.monotonic()))
            answers, error, text = bus.answer()
            if answers:
                show(error, text)
    except TimeoutError:
        pass


def listen(bus):
    for rule in "type='signal'", "eavesdrop='true'":
        match = "org.freedesktop.DBus", "AddMatch", "s", [rule]
        bus.wait(bus.send(*match, "org.freedesktop.DBus", "/org/freedesktop/DBus"))
    print("listening", flush=True)
    bus.socket.settimeout(None)
    while True:
        answers, _, text = bus.answer()
        print(bus.last, text, flush=True)


def compare(bus, rounds, undo, names, interface, method, signature, *arguments):
    names = names.split(",")
    took, answers = {name: [] for name in names}, {name: set() for name in names}
    undo, _, undo_signature = undo.partition(":")
    gc.disable()
    for _ in range(int(rounds)):
        for name in random.sample(names, len(names)):
            words = [name if word == "@" else word for word in arguments]
            start = time.perf_counter_ns()
            error, text = bus.wait(bus.send(interface, method, signature, words))
            took[name].append(time.perf_counter_ns() - start)
            # A login's code and times are others each time; its state is not.
            states = [word for word in ("starting", "pending", "failed", "done") if word in text]
            text = text.replace(name, "@") if error else " ".join(states)
            answers[name].add(shown(error, text))
            if undo != "-":
                bus.wait(bus.send(interface, undo, undo_signature or "s", [name]))
    for name in names:
        print("times", name, *took[name])
        for answer in sorted(answers[name]):
            print("answer", name, answer)


if __name__ == "__main__":
    {"call": call, "flood": flood, "listen": listen, "compare": compare}[sys.argv[1]](Bus(), *sys.argv[2:])
