# Listens in the daemon's place, as root, and is of no use. Argument: the path of the socket, and
#   deaf   accepts nobody, and its backlog is full
#   half   dies in the middle of each reply
#   stall  falls silent in the middle of each reply
import os, socket, struct, sys, threading

path, fault = sys.argv[1:]
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(0 if fault == "deaf" else 64)
kept = []


def serve():
    while True:
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(struct.pack("<I", 100) + b'{"opened":')
        if fault == "stall":
            kept.append(peer)
        else:
            peer.close()


if fault == "deaf":
    try:
        while True:
            waiting = socket.socket(socket.AF_UNIX)
            waiting.setblocking(False)
            waiting.connect(path)
            kept.append(waiting)
    except BlockingIOError:
        pass
else:
    threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
