#!/bin/sh
# The browser of the walk: it writes down that somebody opened it.
echo "$1" >> "${OPENED:-$HOME/opened}"
