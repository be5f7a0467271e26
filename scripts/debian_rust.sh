# Sourced by scripts that compile for a target without its standard library: the Rust compiler that Debian packages for
# such things, with its library's source, downloaded with apt-get and unpacked, not installed. That compiler is older than
# the one the workspace asks for.
#
#   debian_packages FOLDER PACKAGE…   unpacks packages into FOLDER/debian, unless they are there
#   debian_rust FOLDER                the same for the compiler; sets RUSTC and RUSTC_BOOTSTRAP

debian_packages() {
    local folder=$1 package
    shift
    [ ! -e "$folder/debian/.$1" ] || return 0
    mkdir -p "$folder/packages/$1"
    (cd "$folder/packages/$1" && apt-get download -q "$@")
    for package in "$folder/packages/$1"/*.deb; do dpkg -x "$package" "$folder/debian"; done
    touch "$folder/debian/.$1"
}

# The package of a library that another needs: debian_dependency PACKAGE… PATTERN
debian_dependency() {
    apt-cache depends "${@:1:$#-1}" | sed -n "s/^ *Depends: \(${*: -1}\)\$/\1/p" | head -1
}

debian_rust() {
    local folder=$1 library llvm files
    library=$(debian_dependency rustc-web libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
    llvm=$(debian_dependency "$library" 'libllvm[0-9]*')
    debian_packages "$folder" rustc-web rust-web-src libstd-rust-web-dev "$library" "$llvm"
    # `File::try_lock` has come to tell by an error of its own that the lock is held. That library is brought up to it.
    files=$folder/debian/usr/lib/rustlib/src/rust/library/std/src/fs.rs
    if ! grep -q TryLockError "$files"; then
        rm -rf "$folder/check"
        sed -i '/pub fn try_lock(&self) -> io::Result<bool> {/,/^    }/c\
    pub fn try_lock(&self) -> Result<(), TryLockError> {\
        match self.inner.try_lock() {\
            Ok(true) => Ok(()),\
            Ok(false) => Err(TryLockError::WouldBlock),\
            Err(error) => Err(TryLockError::Error(error)),\
        }\
    }' "$files"
        cat >> "$files" <<'ADDED'

/// Why a lock was not taken.
#[unstable(feature = "file_lock", issue = "130994")]
#[derive(Debug)]
pub enum TryLockError {
    /// The lock could not be asked for.
    Error(io::Error),
    /// Somebody else holds it.
    WouldBlock,
}
ADDED
    fi
    # What has become stable since that compiler is switched on: in the language and the core library for every crate, in
    # the standard library for ours.
    cat > "$folder/rustc" <<WRAPPER
#!/bin/sh
export LD_LIBRARY_PATH="$folder/debian/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
features=let_chains,if_let_guard,target_feature_11,unsigned_is_multiple_of,slice_as_chunks,unbounded_shifts,float_next_up_down
case "\${CARGO_MANIFEST_DIR:-$folder/debian}:\${CARGO_PKG_NAME:-}:\$*" in
"$folder/debian"*|*rustc-dep-of-std*) exec "$folder/debian/usr/bin/rustc" "\$@" ;;
*:ksom-*:*) features=\$features,file_lock,panic_payload_as_str ;;
esac
exec "$folder/debian/usr/bin/rustc" "\$@" "-Zcrate-attr=feature(\$features)" -Astable_features
WRAPPER
    chmod +x "$folder/rustc"
    export RUSTC=$folder/rustc RUSTC_BOOTSTRAP=1
}
