# shellcheck shell=sh
# Stages the key that DKMS signs modules with for the firmware's list of machine owner keys. Arguments: KEY CERTIFICATE.
# Input: a password of 8 to 16 characters, which the menu before the next boot asks for at the console.
key=$1 certificate=$2
log=$RUN/log

# Its words tell; its exit status means the opposite in later releases (mokutil 0.7.2 and after).
is_staged() {
  mokutil --test-key "$certificate" 2>&1 | grep -qE 'already (enrolled|in the enrollment request|in db)'
}

audit_packages
install_packages "$log" dkms mokutil openssl || fail "driver: the tools for its signing key cannot be installed" \
  "dkms, mokutil, openssl: $(short "$log")" "mend the host's package sources"
if [ ! -e "$certificate" ]; then
  # As DKMS makes it itself when it builds its first module; before 3.1 it has no command for that.
  mkdir -p "${key%/*}"
  (umask 077 && openssl req -new -x509 -nodes -days 36500 -newkey rsa:2048 -subj '/CN=DKMS module signing key' \
    -addext extendedKeyUsage=codeSigning -keyout "$key" -outform DER -out "$certificate") >"$log" 2>&1 ||
    fail "driver: its signing key cannot be made" "openssl req: $(short "$log")" "look at free space below ${key%/*}"
fi
is_staged && exit 0
# The password itself would be seen in the process list: mokutil takes its hash from a file.
if ! { openssl passwd -6 -stdin <"$RUN/input" >"$RUN/hash" && mokutil --import "$certificate" --hash-file "$RUN/hash" >"$log" 2>&1 && is_staged; }; then
  fail "driver: its signing key cannot be staged" "mokutil --import $certificate: $(short "$log")" \
    "import it by hand: mokutil --import $certificate"
fi
