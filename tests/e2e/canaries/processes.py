# Looks at the arguments and the environment of every process of the node, again and again, so that one
# that lives for a moment is seen too. What the secrets are is known in the end only: until then every
# text that was seen is kept, once. Runs on the node, as root.
#
#   processes.py SECONDS    prints "ready"; takes lines from its input: "?TEXT..." with TEXTs behind tabs
#                           asks where one of them was seen, each place a line ("cmdline: …"), then "asked".
#                           Ends with its input, and after SECONDS at the latest.
import os
import select
import sys
import time

MOST = 400_000  # texts


def look(seen, own):
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or pid == own:
            continue
        for kind in "cmdline", "environ":
            try:
                with open(f"/proc/{pid}/{kind}", "rb", 0) as file:
                    text = file.read(1 << 20)
            except OSError:  # it ended
                continue
            if text:
                seen.add((kind, text))
    if len(seen) > MOST:
        sys.exit(f"more than {MOST} texts")


def answer(seen, question):
    for secret in question[1:].strip("\n").split("\t"):
        for kind, text in seen:
            if secret.encode() in text:
                print(f"{kind}: {text.decode(errors='replace')!r}")
    print("asked", len(seen), flush=True)


def main():
    seen, own, end = set(), str(os.getpid()), time.monotonic() + float(sys.argv[1])
    rounds = 0
    print("ready", flush=True)
    while time.monotonic() < end:
        look(seen, own)
        rounds += 1
        # A moment for others: this machine has more to do.
        if select.select([sys.stdin], [], [], 0.004)[0]:
            line = sys.stdin.readline()
            if not line:
                print("rounds", rounds, flush=True)
                return
            answer(seen, line)
    sys.exit("the time is over")


if __name__ == "__main__":
    main()
