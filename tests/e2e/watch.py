# Looks at a token file again and again, as a program of its owner would, until its input ends or
# brings a line; then tells what it saw. Arguments: path, seconds between looks, uid of the owner.
import base64, os, re, select, stat, sys, time

path, every, owner = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
looks, problems, tokens, least_left, longest_gap = 0, [], [], 1e9, 0.0


def look():
    """What is wrong with the file now, and its token."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        return f"missing ({error.strerror})", None
    try:
        seen, text = os.fstat(fd), os.read(fd, 65536)
    finally:
        os.close(fd)
    if not stat.S_ISREG(seen.st_mode) or stat.S_IMODE(seen.st_mode) != 0o600:
        return f"mode {seen.st_mode:o}", None
    if seen.st_uid != owner:
        return f"owner {seen.st_uid}", None
    parts = text.split(b".")
    if not re.fullmatch(rb"[\w-]+\.[\w-]+\.[\w-]+", text) or len(text) != seen.st_size:
        return f"partial ({len(text)} bytes)", None
    claims = base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4))
    return None, (text, int(re.search(rb'"exp":(\d+)', claims).group(1)))


print("watching", flush=True)
last = time.monotonic()
while not select.select([0], [], [], every)[0]:
    now = time.monotonic()
    longest_gap, last, looks = max(longest_gap, now - last), now, looks + 1
    problem, token = look()
    if token and token[1] <= time.time():
        problem = "expired"
    if problem:
        problems.append(f"{problem} at look {looks}")
        continue
    least_left = min(least_left, token[1] - time.time())
    if not tokens or tokens[-1] != token[0]:
        tokens.append(token[0])

print("looks", looks)
print("tokens", len(tokens))
print("least-left-ms", int(least_left * 1000))
print("longest-gap-ms", int(longest_gap * 1000))
print("problems", len(problems), "; ".join(problems[:10]))
print("done", flush=True)
