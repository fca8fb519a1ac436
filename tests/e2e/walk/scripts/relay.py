#!/usr/bin/python3
"""An agent on another host, as oidc-agent's clients see it: what comes at the port 42424 goes to the
socket of $OIDC_SOCK. Written for the walk."""
import os
import socket
import threading


def pass_on(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


with socket.create_server(("127.0.0.1", 42424)) as server:
    print("there", flush=True)
    while True:
        client, _ = server.accept()
        agent = socket.socket(socket.AF_UNIX)
        agent.connect(os.environ["OIDC_SOCK"])
        for way in (client, agent), (agent, client):
            threading.Thread(target=pass_on, args=way, daemon=True).start()
