#!/usr/bin/env bash
# Plays Slipway's story on this machine with the real git and the real ssh, and checks each step:
#
#   1. a first push goes live
#   2. a push with a failing unit test is rejected, production stays
#   3. a push that passes its tests but fails its users is rolled back and rejected
#   4. an admin forces a revision past the gate
#
# Everything it makes is in one temporary folder, every port is on the loopback. It leaves the server
# running until Ctrl-C; with -once it ends by itself. It exits non-zero if a step went otherwise.
# It wants bin/slipway to be built: run it as `make demo`, or `make demo ARGS=-once`.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
once=''
case "${1-}" in
	'') ;;
	-once | --once) once=yes ;;
	*) echo "usage: examples/demo.sh [-once]" >&2; exit 2 ;;
esac

export LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1
for name in "${!GIT_@}"; do
	[ "$name" = GIT_CONFIG_NOSYSTEM ] || unset "$name"
done
unset SSH_AUTH_SOCK

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ "${TERM-dumb}" != dumb ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[m'
fi

# ---- what is started, and how it ends ----

tmp='' server='' visitors=''

# processes prints the ids of all processes whose command line names the temporary folder, and on
# stderr what they are.
# shellcheck disable=SC2317 # finish calls it, and that is called by a trap
processes() {
	local file line
	for file in /proc/[0-9]*/cmdline; do
		line=$(tr '\0' ' ' <"$file") || continue
		if [[ "$line" == *"$tmp"* ]]; then
			file=${file#/proc/}
			echo "${file%/cmdline}"
			echo "left running: ${file%/cmdline} $line" >&3
		fi
	done 3>&2 2>/dev/null
}

# gone waits until process $1 has ended, at most $2 tenths of a second.
# shellcheck disable=SC2317 # as above
gone() {
	local i
	for ((i = 0; i < $2; i++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	return 1
}

# finish ends the server, the router and all instances, and removes the temporary folder.
# shellcheck disable=SC2317 # as above
finish() {
	local status=$? left
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	[ -z "$visitors" ] || kill "$visitors" 2>/dev/null
	if [ -n "$server" ]; then
		timeout 60 "$root/bin/slipway" -data "$tmp/data" shutdown >>"$tmp/shutdown.log" 2>&1 ||
			{ echo "slipway shutdown failed:"; cat "$tmp/shutdown.log"; status=1; } >&2
		gone "$server" 300 || { kill "$server"; gone "$server" 50 || kill -9 "$server"; }
		left=$(processes)
		if [ -n "$left" ]; then
			# shellcheck disable=SC2086 # a list of numbers
			kill -9 $left 2>/dev/null
			status=1
		fi
	fi
	[ -z "$tmp" ] || rm -rf "$tmp"
	exit "$status"
}

# fail ends the demo because something is not as the story says.
fail() {
	printf '\n%s✗ %s%s\n' "$red" "$1" "$plain" >&2
	if [ -s "$tmp/server.log" ]; then
		printf '\nThe last lines of the server:\n' >&2
		tail -n 40 "$tmp/server.log" >&2
	fi
	exit 1
}

# ---- telling the story ----

step() { printf '\n%s── %s ──%s\n%s' "$bold" "$1" "$plain" "${2:+$2$'\n'}"; }

# as makes $1 the person who acts, in folder $2 of that person's home.
as() { who=$1 HOME=$tmp/$1 place=$tmp/$1/${2-}; export HOME; }

# run shows a command line as the person would type it and runs it there. Its exit status is in
# $status and what it printed in $output.
run() {
	local shown=${place#"$HOME"/}
	printf '%s%s:%s$ %s%s\n' "$dim" "$who" "${shown%/}" "$plain$bold" "$1$plain"
	set +e
	(cd "$place" && exec timeout --foreground 300 bash -c "$1") 2>&1 | tee "$tmp/output"
	status=${PIPESTATUS[0]}
	set -e
	output=$(<"$tmp/output")
}

ok() { printf '%s✓ %s%s\n' "$green" "$1" "$plain"; }

# runs runs a command that has to succeed.
runs() {
	run "$1"
	[ "$status" -eq 0 ] || fail "that should have succeeded, but ended with exit status $status"
}

# refused runs a command that has to fail, with $2 in its output.
refused() {
	run "$1"
	[ "$status" -ne 0 ] || fail "that should have been refused"
	said "$2"
	ok "refused with exit status $status"
}

# said checks that the last command printed $1.
said() { [[ "$output" == *"$1"* ]] || fail "the output should hold: $1"; }

# serves checks that revision $1 is what answers, and what the branch on the server is.
serves() {
	local got ref
	got=$(curl -fsS "$shop/revision") || fail "the shop does not answer"
	ref=$(cd "$place" && git ls-remote "$url" refs/heads/main | cut -f 1)
	[ "$got" = "$1" ] || fail "revision $got answers, instead of $1"
	[ "$ref" = "$1" ] || fail "main on the server is $ref, instead of $1"
	ok "${1:0:7} answers, and is main on the server"
}

# visit asks for the front page again and again, and notes the answers' statuses, until it is ended.
visit() {
	while :; do
		curl -s -o /dev/null -w '%{http_code}\n' "$shop/" >>"$tmp/visits" || true
		sleep 0.05
	done
}

# person makes a home with a key, and an ssh that uses nothing else.
person() {
	mkdir -p "$tmp/$1/.ssh"
	ssh-keygen -q -t ed25519 -N '' -C "$1@demo" -f "$tmp/$1/.ssh/id_ed25519"
	cat >"$tmp/$1/.ssh/config" <<-EOF
		Host *
		  IdentityFile "$tmp/$1/.ssh/id_ed25519"
		  IdentitiesOnly yes
		  IdentityAgent none
		  UserKnownHostsFile "$tmp/$1/.ssh/known_hosts"
		  GlobalKnownHostsFile none
		  StrictHostKeyChecking accept-new
		  LogLevel ERROR
	EOF
	HOME=$tmp/$1 git config --global user.name "$1"
	HOME=$tmp/$1 git config --global user.email "$1@example.org"
	HOME=$tmp/$1 git config --global advice.detachedHead false
	cp "$tmp/curlrc" "$tmp/$1/.curlrc"
}

# free prints the first port from $1 on that nobody listens on.
free() {
	local port
	for ((port = $1; port < $1 + 50; port++)); do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	echo "no free port from $1 on" >&2
	return 1
}

# ---- setting the stage ----

"$root/.ci/need" bwrap=bubblewrap ssh=openssh-client git=git curl=curl
[ -x "$root/bin/slipway" ] || { echo "bin/slipway is not there: run make build" >&2; exit 1; }

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
tmp=$(mktemp -d "${TMPDIR:-/tmp}/slipway-demo.XXXXXX")
chmod 755 "$tmp"
mkdir -p "$tmp/bin" "$tmp/data" "$tmp/operator"
ln -s "$tmp/data" "$tmp/operator/data"

ssh_port=$(free 2222) http_port=$(free 8080) proxy_port=$(free 8000)
url=ssh://127.0.0.1:$ssh_port/shop
shop=http://shop.localhost:$proxy_port

# ssh reads the home folder of the password file and not $HOME, hence this; git uses it, too.
# shellcheck disable=SC2016 # $HOME is for the file
printf '#!/bin/sh\nexec "%s" -F "$HOME/.ssh/config" "$@"\n' "$(command -v ssh)" >"$tmp/bin/ssh"
chmod +x "$tmp/bin/ssh"
ln -s "$root/bin/slipway" "$tmp/bin/slipway"
export PATH="$tmp/bin:$PATH" SLIPWAY_DATA="$tmp/data"
# Not every resolver knows that *.localhost is this machine.
printf 'resolve = "shop.localhost:%s:127.0.0.1"\n' "$proxy_port" >"$tmp/curlrc"
cp "$tmp/curlrc" "$tmp/operator/.curlrc"
person alice
person olga
cp "$tmp/alice/.ssh/id_ed25519.pub" "$tmp/operator/alice.pub"
cp "$tmp/olga/.ssh/id_ed25519.pub" "$tmp/operator/olga.pub"
mkdir "$tmp/alice/shop"
cp -R "$root/examples/shop/." "$tmp/alice/shop/"
rm -rf "$tmp/alice/shop/bin"

step "A server" "An empty data folder, one app, a developer and an admin."
as operator
printf '%s\n' "${dim}operator:\$ ${plain}${bold}slipway serve -ssh 127.0.0.1:$ssh_port -http 127.0.0.1:$http_port -proxy 127.0.0.1:$proxy_port &${plain}"
# A session of its own: Ctrl-C is for this script, which then ends the server in order.
setsid "$root/bin/slipway" serve -data "$tmp/data" -ssh "127.0.0.1:$ssh_port" \
	-http "127.0.0.1:$http_port" -proxy "127.0.0.1:$proxy_port" >"$tmp/server.log" 2>&1 </dev/null &
server=$!
for ((i = 0; ; i++)); do
	if slipway status >/dev/null 2>&1; then break; fi
	kill -0 "$server" 2>/dev/null || fail "the server ended"
	[ "$i" -lt 300 ] || fail "the server is not ready after 30 s"
	sleep 0.1
done
cat "$tmp/server.log"
runs "slipway user add alice -role developer -key alice.pub"
runs "slipway user add olga -role admin -key olga.pub"
runs "slipway app create shop"
runs "slipway app grant shop alice developer"

step "1. A first push goes live" "It is built, tested in a sandbox, started and watched, all inside the push."
as alice shop
runs "git init -q -b main && git add . && git commit -q -m 'Open the shop'"
runs "git remote add production $url"
runs "git push production main"
said "accepted: "
first=$(git -C "$place" rev-parse HEAD)
runs "curl -s $shop/"
said "revision"
serves "$first"

step "2. A failing unit test" "Alice breaks the total of the cart. Production never sees it."
runs "sed -i 's/l.price \* l.quantity/l.price/' cart.go && git commit -q -a -m 'Simplify the total'"
refused "git push production main" "rejected: test set \"unit\" failed"
said "TestTotal"
said "! [remote rejected] main -> main (test unit failed: deployment "
runs "curl -s $shop/cart/total"
said "€ 29.00"
serves "$first"

step "3. Good tests, bad day" "The offer of the day passes every test. But the shopkeeper writes prices in euros, and the new
code reads cents: in production the front page answers 500, while /up is fine. Visitors come all
the time."
as operator
runs "echo 'mug 9.50' >data/apps/shop/storage/offer.txt"
as alice shop
runs "git reset -q --hard HEAD~1"
runs "sed -i 's/showOffer = false/showOffer = true/' offer.go && git commit -q -a -m 'Show the offer of the day'"
HOME=$tmp/operator visit &
visitors=$!
refused "git push production main" "! [remote rejected] main -> main ("
kill "$visitors"
wait "$visitors" 2>/dev/null || true
visitors=''
said "roll back"
said "rejected: "
said "production still serves ${first:0:7}"
printf 'What the visitors got:\n'
sort "$tmp/visits" | uniq -c
grep -q '^200$' "$tmp/visits" || fail "no visitor was served"
grep -q '^500$' "$tmp/visits" || fail "no visitor met the broken revision, so the watch had nothing to see"
if grep -qv -e '^200$' -e '^500$' "$tmp/visits"; then fail "a visitor got no answer from the shop"; fi
runs "curl -s $shop/"
said "Welcome to the shop"
serves "$first"

step "4. An admin goes past the gate" "Olga must change a price now, and the test still wants the old one. Her forced push is
not tested; it is recorded with her name and reason."
as olga
runs "git clone -q $url shop"
as olga shop
runs "sed -i 's/\"mug\", 1200, 2/\"mug\", 1500, 2/' page.go && git commit -q -a --amend -m 'Mugs cost 15 euros'"
forced=$(git -C "$place" rev-parse HEAD)
runs "git push --force -o reason='the supplier raised the price this morning' origin main"
said "bypass by a forced push"
said "the supplier raised the price this morning"
runs "curl -s $shop/cart/total"
said "€ 35.00"
serves "$forced"

step "What the server remembers"
runs "ssh -p $ssh_port 127.0.0.1 deployments shop"
printf '\n%s✓ The story went as told.%s\n' "$bold$green" "$plain"
[ -z "$once" ] || exit 0
trap 'echo; exit 0' INT

cat <<EOF

The server goes on until Ctrl-C:
  the shop      $shop/
  git and ssh   $url
  health        http://127.0.0.1:$http_port/healthz
  data folder   $tmp/data

To push as alice from another terminal:
  cd $tmp/alice/shop && HOME=$tmp/alice PATH=$tmp/bin:\$PATH git push production main
To ask the server as its operator:
  $root/bin/slipway -data $tmp/data status
EOF
wait "$server" || true
fail "the server ended by itself"
