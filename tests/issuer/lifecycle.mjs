// Start and end of a helper process: one READY line, and never outliving the test run that started it.

/** Says READY on stdout; a test waits for this line before it connects. */
export function ready(...words) {
  process.stdout.write(`READY ${words.join(' ')}\n`);
}

/** Ends the process at SIGTERM, SIGINT and, unless `stay`, when stdin closes: a killed parent closes it. */
export function endWith(servers, { stay }) {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    // Whatever timer still runs is of no use to anybody now.
    setImmediate(() => process.exit(0));
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  if (stay) return;
  process.stdin.on('end', end);
  process.stdin.on('close', end);
  process.stdin.on('error', end);
  process.stdin.resume();
}

/** Binds `server` and resolves to the port it got. */
export function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server.address().port);
    });
  });
}
