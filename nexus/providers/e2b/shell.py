"""Pieces of bash that more than one handler sends into sandboxes. Nothing of the user's is ever put into them."""

from __future__ import annotations

from typing import Final

END_MARKED: Final = r"""
marked() {
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file#/proc/}; pid=${pid%/environ}
    [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] && grep -qzxF -- "$1" "$file" 2>/dev/null && echo "$pid"
  done
}
end_marked() {
  local pids tries=0
  if [ "$2" -gt 0 ]; then
    pids=$(marked "$1"); [ -z "$pids" ] && return 0
    kill -TERM $pids 2>/dev/null
    while [ -n "$(marked "$1")" ] && [ $tries -lt $(($2 * 10)) ]; do sleep 0.1; tries=$((tries + 1)); done
  fi
  tries=0
  while pids=$(marked "$1"); [ -n "$pids" ] && [ $tries -lt 50 ]; do
    kill -KILL $pids 2>/dev/null; sleep 0.02; tries=$((tries + 1))
  done
}
"""
"""``end_marked MARK SECONDS`` asks all processes with MARK in their environment to end; after SECONDS it kills them."""

MAKE_FOLDER: Final = r"""
make_folder() {
  local owner=$1 missing=() folder=$2
  while [ -n "$folder" ] && [ ! -d "$folder" ]; do missing=("$folder" "${missing[@]}"); folder=${folder%/*}; done
  for folder in "${missing[@]}"; do mkdir -- "$folder" && chown "$owner:" -- "$folder" || return 1; done
}
"""
"""``make_folder OWNER PATH`` makes what is missing of PATH, belonging to OWNER; folders that exist stay as they are."""
