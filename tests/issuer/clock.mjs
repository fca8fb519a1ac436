// The clock of this process, which a test may set: issuers' clocks are off by minutes, and by days.

const RealDate = Date;
let offset = 0;

class SetDate extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(SetDate.now());
    else super(...given);
  }

  static now() {
    return RealDate.now() + offset;
  }
}

/** From now on the time is off by so many seconds. */
export function setClock(seconds) {
  offset = Number(seconds) * 1000 || 0;
  globalThis.Date = SetDate;
  return { seconds: offset / 1000 };
}
