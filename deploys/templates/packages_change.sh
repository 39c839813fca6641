# shellcheck shell=sh
# Changes the packages of all groups.
audit_packages
change_groups "$@"
