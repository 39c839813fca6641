# shellcheck shell=sh
# The site cache's own certificate authority and its server's certificate, made where the keys stay: $dir is root's alone.
lasts=825 # days of a server's certificate: no client takes longer ones that all others take

# make_key FILE: readable by root alone from its first byte on.
make_key() {
  (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>"$log")
}

# ensure_authority: one that outlives the certificate it is about to sign. What trusted its predecessor must be told of it.
ensure_authority() {
  # One that begins in the future is of a clock that was wrong: nothing it signs would be trusted.
  if [ -s "$dir/ca.key" ] && openssl x509 -noout -checkend $((lasts * 86400)) -in "$dir/ca.crt" >/dev/null 2>&1 &&
    openssl verify -CAfile "$dir/ca.crt" "$dir/ca.crt" >/dev/null 2>&1; then
    return 0
  fi
  {
    printf '[req]\nprompt = no\ndistinguished_name = subject\nx509_extensions = authority\n'
    printf '[subject]\nCN = gpu-hosts site cache\nO = %.64s\n' "$(cat /proc/sys/kernel/hostname)"
    printf '[authority]\nbasicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = critical, keyCertSign, cRLSign\n'
    printf 'subjectKeyIdentifier = hash\n'
  } >"$RUN/authority.cnf"
  make_key "$RUN/ca.key" &&
    openssl req -x509 -new -sha256 -days 3650 -key "$RUN/ca.key" -config "$RUN/authority.cnf" -out "$RUN/ca.crt" 2>"$log" &&
    place "$RUN/ca.key" "$dir/ca.key" 0600 && place "$RUN/ca.crt" "$dir/ca.crt" 0644
}

# sign_server ADDRESS NAME: NAME may be empty.
sign_server() {
  {
    printf '[req]\nprompt = no\ndistinguished_name = subject\n[subject]\nCN = gpu-hosts site cache\nO = %.64s\n' "$1"
    printf '[server]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n'
    printf 'extendedKeyUsage = serverAuth\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n'
    printf 'subjectAltName = IP:%s%s\n' "$1" "${2:+, DNS:$2}"
  } >"$RUN/server.cnf"
  make_key "$RUN/server.key" &&
    openssl req -new -sha256 -key "$RUN/server.key" -config "$RUN/server.cnf" -out "$RUN/server.csr" 2>"$log" &&
    openssl x509 -req -sha256 -days "$lasts" -in "$RUN/server.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
      -set_serial "0x$(openssl rand -hex 15)" -extfile "$RUN/server.cnf" -extensions server -out "$RUN/server.crt" 2>"$log" &&
    openssl verify -CAfile "$dir/ca.crt" "$RUN/server.crt" >"$log" 2>&1
}

# place FROM TO MODE: in one step, for whoever reads TO.
place() {
  cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2"
}

# is_right ADDRESS NAME: whether the certificate that is there is for these, by this authority, and lasts another 30 days.
is_right() {
  openssl verify -CAfile "$dir/ca.crt" "$dir/server.crt" >/dev/null 2>&1 &&
    openssl x509 -noout -checkend $((30 * 86400)) -in "$dir/server.crt" >/dev/null &&
    openssl x509 -noout -checkip "$1" -in "$dir/server.crt" | grep -q 'does match' &&
    { [ -z "$2" ] || openssl x509 -noout -checkhost "$2" -in "$dir/server.crt" | grep -q 'does match'; }
}

# make_certificate ADDRESS NAME: where it is not right. The records go first. A cache reads its certificate when it starts, and one that is not
# on record is started anew, by the next run if this one is cut off.
make_certificate() {
  if is_right "$@"; then return 0; fi
  if ! { ensure_authority && sign_server "$@"; }; then
    fail "the cache's certificate cannot be made" "openssl: $(short "$log" 3)" "look at free space and at $dir"
  fi
  find "$dir" -maxdepth 1 -name '*.yml' -exec rm -f {} +
  place "$RUN/server.key" "$dir/server.key" 0600 && place "$RUN/server.crt" "$dir/server.crt" 0644 ||
    fail "the cache's certificate cannot be written" "$dir" "look at its free space"
}
