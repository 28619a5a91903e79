"""The texts of files that every machine has of its own, whatever the host has."""

from __future__ import annotations

from typing import Final, Literal

Rise = Literal["su", "userns"]
"""How an ordinary user of a machine becomes root: by the set-uid program su, or by a nested user namespace."""

HOSTNAME: Final = "e2b.local"

HOSTS: Final = f"""127.0.0.1\tlocalhost
127.0.1.1\t{HOSTNAME}
::1\tlocalhost ip6-localhost ip6-loopback
"""

PAM_SU: Final = """auth sufficient pam_permit.so
account sufficient pam_permit.so
session sufficient pam_permit.so
"""

SUDOERS: Final = """Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults env_keep += "SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT NODE_EXTRA_CA_CERTS"
root ALL=(ALL:ALL) NOPASSWD: ALL
user ALL=(ALL:ALL) NOPASSWD: ALL
"""

POLICY_RC_D: Final = """#!/bin/sh
# Packages must not start services: there is no service manager here.
exit 101
"""

PROFILE: Final = """# ~/.profile: read by login shells
if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then
    . "$HOME/.bashrc"
fi
if [ -d "$HOME/.local/bin" ]; then
    PATH="$HOME/.local/bin:$PATH"
fi
"""

BASHRC: Final = r"""# ~/.bashrc: read by interactive shells
case $- in
    *i*) ;;
    *) return ;;
esac
HISTCONTROL=ignoreboth
PS1='\u@\h:\w\$ '
alias ls='ls --color=auto'
"""

_RISE_BY_SU: Final = """
if [ "$(id -u)" != 0 ]; then
    exec su -m -s /bin/sh root --session-command 'exec "$0" "$@"' -- "$0" --risen "$caller" "$@"
fi
"""

_RISE_BY_NAMESPACE: Final = """
if [ "$(id -u)" != 0 ]; then
    exec unshare --user --map-root-user -- "$0" --risen "$caller" "$@"
fi
"""

_BECOME_BY_SETPRIV: Final = """
    set -- setpriv --reuid "$(id -u "$target")" --regid "$(id -g "$target")" --init-groups -- "$@"
"""

_BECOME_BY_NAMESPACE: Final = """
    set -- unshare --user --map-user "$(id -u "$target")" --map-group "$(id -g "$target")" -- "$@"
"""

_SUDO: Final = r"""#!/bin/sh
# Stands in for sudo: everyone in a sandbox may act as anyone, without a password.
# Takes the usual options of sudo; the environment is reset unless -E asks otherwise.
usage() {
    echo "usage: sudo [-EHinS] [-u user] [VAR=value] [command [argument ...]]" >&2
    exit 1
}

caller=$(id -un):$(id -u):$(id -g)
if [ "$1" = --risen ]; then
    caller=$2
    shift 2
fi
@RISE@
target=root login= shell= keep= background= directory=
while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        --user=*) target=${1#*=}; shift ;;
        --user) target=$2; shift 2 || usage ;;
        --login) login=1; shift ;;
        --shell) shell=1; shift ;;
        --chdir=*) directory=${1#*=}; shift ;;
        --preserve-env | --preserve-env=*) keep=1; shift ;;
        --version) echo "sudo of a nexus sandbox"; exit 0 ;;
        --validate | --list | --reset-timestamp | --remove-timestamp) exit 0 ;;
        --non-interactive | --set-home | --stdin | --askpass | --preserve-groups) shift ;;
        --group=* | --prompt=* | --host=* | --close-from=*) shift ;;
        --*) usage ;;
        -?*)
            flags=${1#-}
            shift
            while [ -n "$flags" ]; do
                rest=${flags#?}
                flag=${flags%"$rest"}
                flags=$rest
                case $flag in
                    E) keep=1 ;;
                    i) login=1 ;;
                    s) shell=1 ;;
                    b) background=1 ;;
                    n | H | S | A | P | B) ;;
                    V) echo "sudo of a nexus sandbox"; exit 0 ;;
                    l | v | k | K) [ $# -eq 0 ] && exit 0 ;;
                    u | g | p | C | D | h | r | t | T)
                        if [ -n "$flags" ]; then
                            value=$flags flags=
                        else
                            [ $# -gt 0 ] || usage
                            value=$1
                            shift
                        fi
                        case $flag in
                            u) target=$value ;;
                            D) directory=$value ;;
                        esac
                        ;;
                    *) usage ;;
                esac
            done
            ;;
        *) break ;;
    esac
done
target=${target#\#}

entry=$(getent passwd "$target") || { echo "sudo: unknown user $target" >&2; exit 1; }
target=${entry%%:*}
home=${entry%:*}
home=${home##*:}
user_shell=${entry##*:}
case $user_shell in */nologin | */false | "") user_shell=/bin/sh ;; esac

# VAR=value arguments come before the command; they are kept for env(1), which gets them in front of the command.
assignments=0
for word in "$@"; do
    case $word in
        [A-Za-z_]*=*) assignments=$((assignments + 1)) ;;
        *) break ;;
    esac
done

if [ -n "$login$shell" ]; then
    [ -n "$shell" ] && [ -n "$SHELL" ] && user_shell=$SHELL
    if [ $# -gt $assignments ]; then
        [ $assignments -eq 0 ] || usage
        line=
        for word in "$@"; do
            line="$line '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
        done
        set -- "$user_shell" ${login:+-l} -c "$line"
    else
        set -- "$@" "$user_shell" ${login:+-l}
    fi
    [ -n "$login" ] && directory=${directory:-$home}
elif [ $# -le $assignments ]; then
    usage
fi

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -- PATH=$path HOME="$home" USER="$target" LOGNAME="$target" SHELL="$user_shell" \
    SUDO_USER="${caller%%:*}" SUDO_GID="${caller##*:}" SUDO_COMMAND="$*" "$@"
uid=${caller#*:}
set -- SUDO_UID="${uid%:*}" "$@"
if [ -n "$keep" ]; then
    set -- env "$@"
else
    for name in TERM COLORTERM LANG LANGUAGE LC_ALL TZ SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE \
        CURL_CA_BUNDLE PIP_CERT NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO; do
        eval "value=\${$name-}"
        [ -n "$value" ] && set -- "$name=$value" "$@"
    done
    set -- env -i "$@"
fi
if [ "$(id -u "$target")" != 0 ]; then
@BECOME@
fi
[ -n "$directory" ] && { cd "$directory" || exit 1; }
if [ -n "$background" ]; then
    "$@" &
    exit 0
fi
exec "$@"
"""


def sudo_shim(rise: Rise) -> str:
    """A ``sudo`` for hosts that have none."""
    by_su = rise == "su"
    return _SUDO.replace("@RISE@", _RISE_BY_SU if by_su else _RISE_BY_NAMESPACE).replace(
        "@BECOME@", _BECOME_BY_SETPRIV if by_su else _BECOME_BY_NAMESPACE
    )
