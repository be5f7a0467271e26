/**
 * The codes of one picture.
 */
export class Codes {
    static __wrap(ptr) {
        const obj = Object.create(Codes.prototype);
        obj.__wbg_ptr = ptr;
        CodesFinalization.register(obj, obj.__wbg_ptr, obj);
        return obj;
    }
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        CodesFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_codes_free(ptr, 0);
    }
    /**
     * A copy.
     * @returns {Codes}
     */
    clone() {
        const ret = wasm.codes_clone(this.__wbg_ptr);
        return Codes.__wrap(ret);
    }
    /**
     * A level's codes, row by row.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {Uint32Array}
     */
    get(level) {
        const ret = wasm.codes_get(this.__wbg_ptr, level);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * Rows of a level.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {number}
     */
    height(level) {
        const ret = wasm.codes_height(this.__wbg_ptr, level);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return ret[0] >>> 0;
    }
    /**
     * The names of the levels, the top one first.
     * @returns {string[]}
     */
    levels() {
        const ret = wasm.codes_levels(this.__wbg_ptr);
        var v1 = getArrayJsValueFromWasm0(ret[0], ret[1]);
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * A level as a NumPy array [1, h, w]: the file that the command writes.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {Uint8Array}
     */
    npy(level) {
        const ret = wasm.codes_npy(this.__wbg_ptr, level);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * Puts a code into column x of row y.
     *
     * # Errors
     * There is no such level or place, or the code is none of the model.
     * @param {number} level
     * @param {number} x
     * @param {number} y
     * @param {number} code
     */
    paint(level, x, y, code) {
        const ret = wasm.codes_paint(this.__wbg_ptr, level, x, y, code);
        if (ret[1]) {
            throw takeFromExternrefTable0(ret[0]);
        }
    }
    /**
     * The codes file that the command writes.
     *
     * # Errors
     * It cannot be written as safetensors.
     * @returns {Uint8Array}
     */
    safetensors() {
        const ret = wasm.codes_safetensors(this.__wbg_ptr);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * Replaces a level's codes.
     *
     * # Errors
     * There is no such level, there are not as many codes as it has, or one is none of the model.
     * @param {number} level
     * @param {Uint32Array | number[]} codes
     */
    set(level, codes) {
        const val2 = +level;
        const ptr0 = passArray32ToWasm0(codes, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        const ret = wasm.codes_set(this.__wbg_ptr, val2, ptr0, len0);
        if (ret[1]) {
            throw takeFromExternrefTable0(ret[0]);
        }
    }
    /**
     * SHA-256 of the codes as little-endian u32, row by row, top level first, in hexadecimal.
     * @returns {string}
     */
    sha256() {
        let deferred1_0;
        let deferred1_1;
        try {
            const ret = wasm.codes_sha256(this.__wbg_ptr);
            deferred1_0 = ret[0];
            deferred1_1 = ret[1];
            return getStringFromWasm0(ret[0], ret[1]);
        } finally {
            wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
        }
    }
    /**
     * Moves the codes of columns x0 … x1 − 1 in rows y0 … y1 − 1 on their grid; at the grid's edge they stay.
     *
     * # Errors
     * There is no such level or axis.
     * @param {number} level
     * @param {number} x0
     * @param {number} y0
     * @param {number} x1
     * @param {number} y1
     * @param {number} axis
     * @param {number} by
     */
    shiftRegion(level, x0, y0, x1, y1, axis, by) {
        const ret = wasm.codes_shiftRegion(this.__wbg_ptr, level, x0, y0, x1, y1, axis, by);
        if (ret[1]) {
            throw takeFromExternrefTable0(ret[0]);
        }
    }
    /**
     * These codes with all of a level moved on its grid; at the grid's edge they stay.
     *
     * # Errors
     * There is no such level or axis.
     * @param {number} level
     * @param {number} axis
     * @param {number} by
     * @returns {Codes}
     */
    shift(level, axis, by) {
        const ret = wasm.codes_shift(this.__wbg_ptr, level, axis, by);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Codes.__wrap(ret[0]);
    }
    /**
     * Codes in each row of a level.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {number}
     */
    width(level) {
        const ret = wasm.codes_width(this.__wbg_ptr, level);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return ret[0] >>> 0;
    }
}
if (Symbol.dispose) Codes.prototype[Symbol.dispose] = Codes.prototype.free;

/**
 * A model.
 */
export class Model {
    static __wrap(ptr) {
        const obj = Object.create(Model.prototype);
        obj.__wbg_ptr = ptr;
        ModelFinalization.register(obj, obj.__wbg_ptr, obj);
        return obj;
    }
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        ModelFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_model_free(ptr, 0);
    }
    /**
     * Bits per pixel that codes take without further coding.
     * @param {Codes} codes
     * @returns {number}
     */
    bitsPerPixel(codes) {
        _assertClass(codes, Codes);
        const ret = wasm.model_bitsPerPixel(this.__wbg_ptr, codes.__wbg_ptr);
        return ret;
    }
    /**
     * Pixels of the side of a code's cell on [`Model::code_picture`].
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {number}
     */
    cellSize(level) {
        const ret = wasm.model_cellSize(this.__wbg_ptr, level);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return ret[0] >>> 0;
    }
    /**
     * Every code of a level decoded alone, in its place on the grid: see [`Model::places`]. The other level, where there
     * is one, is filled with the code that training has used most. `progress` is called with codes done and how many there are.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @param {Function | null} [progress]
     * @returns {Picture}
     */
    codePicture(level, progress) {
        const val1 = +level;
        const ret = wasm.model_codePicture(this.__wbg_ptr, val1, isLikeNone(progress) ? 0 : addToExternrefTable0(progress));
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Picture.__wrap(ret[0]);
    }
    /**
     * The pixels of a part of the picture that codes stand for, computed from the codes around it alone.
     *
     * # Errors
     * The codes were made by a model with another codebook, or the part does not lie in the picture.
     * @param {Codes} codes
     * @param {number} x
     * @param {number} y
     * @param {number} width
     * @param {number} height
     * @returns {Picture}
     */
    decodeRegion(codes, x, y, width, height) {
        _assertClass(codes, Codes);
        const ret = wasm.model_decodeRegion(this.__wbg_ptr, codes.__wbg_ptr, x, y, width, height);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Picture.__wrap(ret[0]);
    }
    /**
     * The picture that codes stand for. `progress` is called with tiles done and how many there are.
     *
     * # Errors
     * The codes were made by a model with another codebook.
     * @param {Codes} codes
     * @param {Function | null} [progress]
     * @returns {Picture}
     */
    decode(codes, progress) {
        _assertClass(codes, Codes);
        const ret = wasm.model_decode(this.__wbg_ptr, codes.__wbg_ptr, isLikeNone(progress) ? 0 : addToExternrefTable0(progress));
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Picture.__wrap(ret[0]);
    }
    /**
     * The mean distance of each code's vector to those of its neighbors on the grid: a U-matrix.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {Float32Array}
     */
    distances(level) {
        const ret = wasm.model_distances(this.__wbg_ptr, level);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayF32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
    /**
     * A picture's codes. `progress` is called with tiles done and how many there are.
     *
     * # Errors
     * A tensor operation fails.
     * @param {Picture} picture
     * @param {Function | null} [progress]
     * @returns {Codes}
     */
    encode(picture, progress) {
        _assertClass(picture, Picture);
        const ret = wasm.model_encode(this.__wbg_ptr, picture.__wbg_ptr, isLikeNone(progress) ? 0 : addToExternrefTable0(progress));
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Codes.__wrap(ret[0]);
    }
    /**
     * What names the meaning of its codes.
     * @returns {string}
     */
    get fingerprint() {
        let deferred1_0;
        let deferred1_1;
        try {
            const ret = wasm.model_fingerprint(this.__wbg_ptr);
            deferred1_0 = ret[0];
            deferred1_1 = ret[1];
            return getStringFromWasm0(ret[0], ret[1]);
        } finally {
            wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
        }
    }
    /**
     * Its levels, the top one first: an array of `{name, downsample, codes, grid, dim, quantizer}`. Everywhere else a
     * level is its place in this array.
     *
     * # Errors
     * Never.
     * @returns {any}
     */
    get levels() {
        const ret = wasm.model_levels(this.__wbg_ptr);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return takeFromExternrefTable0(ret[0]);
    }
    /**
     * Loads a model from the contents of its `config.json` and `model.safetensors`.
     *
     * # Errors
     * One is not what it should be, or they do not fit together: every missing, extra or misshapen tensor is named.
     * @param {Uint8Array | number[]} config
     * @param {Uint8Array | number[]} weights
     * @param {string} name
     * @returns {Model}
     */
    static load(config, weights, name) {
        let ptr0, len0, ptr1, len1, ptr2, len2;
        try {
            ptr0 = passArray8ToWasm0(config, wasm.__wbindgen_malloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = passArray8ToWasm0(weights, wasm.__wbindgen_malloc);
            len1 = WASM_VECTOR_LEN;
            ptr2 = passStringToWasm0(name, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len2 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr2) { wasm.__wbindgen_free(ptr2, len2 * 1, 1); }
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.model_load(ptr0, len0, ptr1, len1, ptr2, len2);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Model.__wrap(ret[0]);
    }
    /**
     * The name that it was loaded with.
     * @returns {string}
     */
    get name() {
        let deferred1_0;
        let deferred1_1;
        try {
            const ret = wasm.model_name(this.__wbg_ptr);
            deferred1_0 = ret[0];
            deferred1_1 = ret[1];
            return getStringFromWasm0(ret[0], ret[1]);
        } finally {
            wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
        }
    }
    /**
     * Where on [`Model::code_picture`] each code's cell begins: x and y of code 0, of code 1, and so on, in pixels.
     *
     * # Errors
     * There is no such level.
     * @param {number} level
     * @returns {Uint32Array}
     */
    places(level) {
        const ret = wasm.model_places(this.__wbg_ptr, level);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayU32FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 4, 4);
        return v1;
    }
}
if (Symbol.dispose) Model.prototype[Symbol.dispose] = Model.prototype.free;

/**
 * An RGB picture.
 */
export class Picture {
    static __wrap(ptr) {
        const obj = Object.create(Picture.prototype);
        obj.__wbg_ptr = ptr;
        PictureFinalization.register(obj, obj.__wbg_ptr, obj);
        return obj;
    }
    __destroy_into_raw() {
        const ptr = this.__wbg_ptr;
        this.__wbg_ptr = 0;
        PictureFinalization.unregister(this);
        return ptr;
    }
    free() {
        const ptr = this.__destroy_into_raw();
        wasm.__wbg_picture_free(ptr, 0);
    }
    /**
     * Decodes a picture's file, of any format that `ksom-datasets` reads; `name` is its file's name, for messages and
     * for the codes' file.
     *
     * # Errors
     * It is of no such format, damaged, or larger than [`MAX_PIXELS`].
     * @param {Uint8Array | number[]} bytes
     * @param {string | null} [name]
     * @returns {Picture}
     */
    static decode(bytes, name) {
        let ptr0, len0, ptr1, len1;
        try {
            ptr0 = passArray8ToWasm0(bytes, wasm.__wbindgen_malloc);
            len0 = WASM_VECTOR_LEN;
            ptr1 = isLikeNone(name) ? 0 : passStringToWasm0(name, wasm.__wbindgen_malloc, wasm.__wbindgen_realloc);
            len1 = WASM_VECTOR_LEN;
        } catch (e) {
            if (ptr1) { wasm.__wbindgen_free(ptr1, len1 * 1, 1); }
            if (ptr0) { wasm.__wbindgen_free(ptr0, len0 * 1, 1); }
            throw e;
        }
        const ret = wasm.picture_decode(ptr0, len0, ptr1, len1);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Picture.__wrap(ret[0]);
    }
    /**
     * A picture of pixels as a canvas gives them, row by row; what is transparent is composed over white.
     *
     * # Errors
     * There is none, it is larger than [`MAX_PIXELS`], or there are not four bytes for each pixel.
     * @param {Uint8Array | number[]} data
     * @param {number} width
     * @param {number} height
     * @returns {Picture}
     */
    static fromRgba(data, width, height) {
        const val2 = +width;
        const val3 = +height;
        const ptr0 = passArray8ToWasm0(data, wasm.__wbindgen_malloc);
        const len0 = WASM_VECTOR_LEN;
        const ret = wasm.picture_fromRgba(ptr0, len0, val2, val3);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return Picture.__wrap(ret[0]);
    }
    /**
     * Its height in pixels.
     * @returns {number}
     */
    get height() {
        const ret = wasm.picture_height(this.__wbg_ptr);
        return ret >>> 0;
    }
    /**
     * Mean squared error of another picture of the same size, of values in 0..255.
     *
     * # Errors
     * The sizes differ.
     * @param {Picture} other
     * @returns {number}
     */
    mse(other) {
        _assertClass(other, Picture);
        const ret = wasm.picture_mse(this.__wbg_ptr, other.__wbg_ptr);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return ret[0];
    }
    /**
     * The name that it was decoded with.
     * @returns {string}
     */
    get name() {
        let deferred1_0;
        let deferred1_1;
        try {
            const ret = wasm.picture_name(this.__wbg_ptr);
            deferred1_0 = ret[0];
            deferred1_1 = ret[1];
            return getStringFromWasm0(ret[0], ret[1]);
        } finally {
            wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
        }
    }
    /**
     * The picture as a PNG file.
     *
     * # Errors
     * It cannot be encoded.
     * @returns {Uint8Array}
     */
    png() {
        const ret = wasm.picture_png(this.__wbg_ptr);
        if (ret[3]) {
            throw takeFromExternrefTable0(ret[2]);
        }
        var v1 = getArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * Peak signal-to-noise ratio of another picture of the same size, in dB.
     *
     * # Errors
     * The sizes differ.
     * @param {Picture} other
     * @returns {number}
     */
    psnr(other) {
        _assertClass(other, Picture);
        const ret = wasm.picture_psnr(this.__wbg_ptr, other.__wbg_ptr);
        if (ret[2]) {
            throw takeFromExternrefTable0(ret[1]);
        }
        return ret[0];
    }
    /**
     * Its pixels for a canvas's `ImageData`.
     * @returns {Uint8ClampedArray}
     */
    rgba() {
        const ret = wasm.picture_rgba(this.__wbg_ptr);
        var v1 = getClampedArrayU8FromWasm0(ret[0], ret[1]).slice();
        wasm.__wbindgen_free(ret[0], ret[1] * 1, 1);
        return v1;
    }
    /**
     * Its width in pixels.
     * @returns {number}
     */
    get width() {
        const ret = wasm.picture_width(this.__wbg_ptr);
        return ret >>> 0;
    }
}
if (Symbol.dispose) Picture.prototype[Symbol.dispose] = Picture.prototype.free;

/**
 * The instruction set that the kernels use: `simd128` or `scalar`, by how the module was built.
 * @returns {string}
 */
export function instructionSet() {
    let deferred1_0;
    let deferred1_1;
    try {
        const ret = wasm.instructionSet();
        deferred1_0 = ret[0];
        deferred1_1 = ret[1];
        return getStringFromWasm0(ret[0], ret[1]);
    } finally {
        wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
    }
}

/**
 * Run once when the module is there.
 */
export function start() {
    wasm.start();
}

/**
 * This crate's version.
 * @returns {string}
 */
export function version() {
    let deferred1_0;
    let deferred1_1;
    try {
        const ret = wasm.version();
        deferred1_0 = ret[0];
        deferred1_1 = ret[1];
        return getStringFromWasm0(ret[0], ret[1]);
    } finally {
        wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
    }
}
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg___wbindgen_rethrow_d953c34c2e20677f: function(arg0) {
            throw arg0;
        },
        __wbg___wbindgen_throw_4c88d8bf264fd984: function(arg0, arg1) {
            throw new Error(getStringFromWasm0(arg0, arg1));
        },
        __wbg_call_fc92fee6137d452d: function() { return handleError(function (arg0, arg1, arg2, arg3) {
            const ret = arg0.call(arg1, arg2, arg3);
            return ret;
        }, arguments); },
        __wbg_new_787b9fb330d55d78: function(arg0, arg1) {
            const ret = new Error(getStringFromWasm0(arg0, arg1));
            return ret;
        },
        __wbg_parse_c3f72b5a24f83c01: function() { return handleError(function (arg0, arg1) {
            const ret = JSON.parse(getStringFromWasm0(arg0, arg1));
            return ret;
        }, arguments); },
        __wbg_set_name_822e3903f3184979: function(arg0, arg1, arg2) {
            arg0.name = getStringFromWasm0(arg1, arg2);
        },
        __wbindgen_generic_0000000000000001: function(arg0) {
            // Cast intrinsic for `F64 -> Externref`.
            const ret = arg0;
            return ret;
        },
        __wbindgen_generic_0000000000000002: function(arg0, arg1) {
            // Cast intrinsic for `Ref(String) -> Externref`.
            const ret = getStringFromWasm0(arg0, arg1);
            return ret;
        },
        __wbindgen_init_externref_table: function() {
            const table = wasm.__wbindgen_externrefs;
            table.set(0, undefined);
            table.set(1024, undefined);
            table.set(1025, null);
            table.set(1026, true);
            table.set(1027, false);
        },
    };
    return {
        __proto__: null,
        "./ksom_web_bg.js": import0,
    };
}

const CodesFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_codes_free(ptr, 1));
const ModelFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_model_free(ptr, 1));
const PictureFinalization = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {}, unregister: () => {} }
    : new FinalizationRegistry(ptr => wasm.__wbg_picture_free(ptr, 1));

function addToExternrefTable0(obj) {
    const idx = wasm.__externref_table_alloc();
    wasm.__wbindgen_externrefs.set(idx, obj);
    return idx;
}

function _assertClass(instance, klass) {
    if (!(instance instanceof klass)) {
        throw new Error(`expected instance of ${klass.name}`);
    }
}

function getArrayF32FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getFloat32ArrayMemory0().subarray(ptr / 4, ptr / 4 + len);
}

function getArrayJsValueFromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    const mem = getDataViewMemory0();
    const result = [];
    for (let i = ptr; i < ptr + 4 * len; i += 4) {
        result.push(wasm.__wbindgen_externrefs.get(mem.getUint32(i, true)));
    }
    wasm.__externref_drop_slice(ptr, len);
    return result;
}

function getArrayU32FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint32ArrayMemory0().subarray(ptr / 4, ptr / 4 + len);
}

function getArrayU8FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint8ArrayMemory0().subarray(ptr / 1, ptr / 1 + len);
}

function getClampedArrayU8FromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return getUint8ClampedArrayMemory0().subarray(ptr / 1, ptr / 1 + len);
}

let cachedDataViewMemory0 = null;
function getDataViewMemory0() {
    if (cachedDataViewMemory0 === null || cachedDataViewMemory0.buffer.detached === true || (cachedDataViewMemory0.buffer.detached === undefined && cachedDataViewMemory0.buffer !== wasm.memory.buffer)) {
        cachedDataViewMemory0 = new DataView(wasm.memory.buffer);
    }
    return cachedDataViewMemory0;
}

let cachedFloat32ArrayMemory0 = null;
function getFloat32ArrayMemory0() {
    if (cachedFloat32ArrayMemory0 === null || cachedFloat32ArrayMemory0.byteLength === 0) {
        cachedFloat32ArrayMemory0 = new Float32Array(wasm.memory.buffer);
    }
    return cachedFloat32ArrayMemory0;
}

function getStringFromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return decodeText(getUint8ArrayMemory0().subarray(ptr, ptr + len));
}

let cachedUint32ArrayMemory0 = null;
function getUint32ArrayMemory0() {
    if (cachedUint32ArrayMemory0 === null || cachedUint32ArrayMemory0.byteLength === 0) {
        cachedUint32ArrayMemory0 = new Uint32Array(wasm.memory.buffer);
    }
    return cachedUint32ArrayMemory0;
}

let cachedUint8ArrayMemory0 = null;
function getUint8ArrayMemory0() {
    if (cachedUint8ArrayMemory0 === null || cachedUint8ArrayMemory0.byteLength === 0) {
        cachedUint8ArrayMemory0 = new Uint8Array(wasm.memory.buffer);
    }
    return cachedUint8ArrayMemory0;
}

let cachedUint8ClampedArrayMemory0 = null;
function getUint8ClampedArrayMemory0() {
    if (cachedUint8ClampedArrayMemory0 === null || cachedUint8ClampedArrayMemory0.byteLength === 0) {
        cachedUint8ClampedArrayMemory0 = new Uint8ClampedArray(wasm.memory.buffer);
    }
    return cachedUint8ClampedArrayMemory0;
}

function handleError(f, args) {
    try {
        return f.apply(this, args);
    } catch (e) {
        const idx = addToExternrefTable0(e);
        wasm.__wbindgen_exn_store(idx);
    }
}

function isLikeNone(x) {
    return x === undefined || x === null;
}

function passArray32ToWasm0(arg, malloc) {
    const ptr = malloc(arg.length * 4, 4) >>> 0;
    getUint32ArrayMemory0().set(arg, ptr / 4);
    WASM_VECTOR_LEN = arg.length;
    return ptr;
}

function passArray8ToWasm0(arg, malloc) {
    const ptr = malloc(arg.length * 1, 1) >>> 0;
    getUint8ArrayMemory0().set(arg, ptr / 1);
    WASM_VECTOR_LEN = arg.length;
    return ptr;
}

function passStringToWasm0(arg, malloc, realloc) {
    if (realloc === undefined) {
        const buf = cachedTextEncoder.encode(arg);
        const ptr = malloc(buf.length, 1) >>> 0;
        getUint8ArrayMemory0().subarray(ptr, ptr + buf.length).set(buf);
        WASM_VECTOR_LEN = buf.length;
        return ptr;
    }

    let len = arg.length;
    let ptr = malloc(len, 1) >>> 0;

    const mem = getUint8ArrayMemory0();

    let offset = 0;

    for (; offset < len; offset++) {
        const code = arg.charCodeAt(offset);
        if (code > 0x7F) break;
        mem[ptr + offset] = code;
    }
    if (offset !== len) {
        if (offset !== 0) {
            arg = arg.slice(offset);
        }
        ptr = realloc(ptr, len, len = offset + arg.length * 3, 1) >>> 0;
        const view = getUint8ArrayMemory0().subarray(ptr + offset, ptr + len);
        const ret = cachedTextEncoder.encodeInto(arg, view);

        offset += ret.written;
        ptr = realloc(ptr, len, offset, 1) >>> 0;
    }

    WASM_VECTOR_LEN = offset;
    return ptr;
}

function takeFromExternrefTable0(idx) {
    const value = wasm.__wbindgen_externrefs.get(idx);
    wasm.__externref_table_dealloc(idx);
    return value;
}

let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
cachedTextDecoder.decode();
const MAX_SAFARI_DECODE_BYTES = 2146435072;
let numBytesDecoded = 0;
function decodeText(bytes) {
    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
}

const cachedTextEncoder = new TextEncoder();

if (!('encodeInto' in cachedTextEncoder)) {
    cachedTextEncoder.encodeInto = function (arg, view) {
        const buf = cachedTextEncoder.encode(arg);
        view.set(buf);
        return {
            read: arg.length,
            written: buf.length
        };
    };
}

let WASM_VECTOR_LEN = 0;

let wasmModule, wasmInstance, wasm;
function __wbg_finalize_init(instance, module) {
    wasmInstance = instance;
    wasm = instance.exports;
    wasmModule = module;
    cachedDataViewMemory0 = null;
    cachedFloat32ArrayMemory0 = null;
    cachedUint32ArrayMemory0 = null;
    cachedUint8ArrayMemory0 = null;
    cachedUint8ClampedArrayMemory0 = null;
    wasm.__wbindgen_start();
    return wasm;
}

async function __wbg_load(module, imports) {
    if (typeof Response === 'function' && module instanceof Response) {
        if (!module.ok) {
            throw new Error(`failed to fetch Wasm: ${module.status} ${module.statusText} fetching '${module.url}'`);
        }

        if (typeof WebAssembly.instantiateStreaming === 'function') {
            try {
                return await WebAssembly.instantiateStreaming(module, imports);
            } catch (e) {
                const validResponse = expectedResponseType(module.type);

                if (validResponse && module.headers.get('Content-Type') !== 'application/wasm') {
                    console.warn("`WebAssembly.instantiateStreaming` failed because your server does not serve Wasm with `application/wasm` MIME type. Falling back to `WebAssembly.instantiate` which is slower. Original error:\n", e);

                } else { throw e; }
            }
        }

        const bytes = await module.arrayBuffer();
        return await WebAssembly.instantiate(bytes, imports);
    } else {
        const instance = await WebAssembly.instantiate(module, imports);

        if (instance instanceof WebAssembly.Instance) {
            return { instance, module };
        } else {
            return instance;
        }
    }

    function expectedResponseType(type) {
        switch (type) {
            case 'basic': case 'cors': case 'default': return true;
        }
        return false;
    }
}

function initSync(module) {
    if (wasm !== undefined) return wasm;


    if (module !== undefined) {
        if (Object.getPrototypeOf(module) === Object.prototype) {
            ({module} = module)
        } else {
            console.warn('using deprecated parameters for `initSync()`; pass a single object instead')
        }
    }

    const imports = __wbg_get_imports();
    if (!(module instanceof WebAssembly.Module)) {
        module = new WebAssembly.Module(module);
    }
    const instance = new WebAssembly.Instance(module, imports);
    return __wbg_finalize_init(instance, module);
}

let __wbg_init_promise;
async function __wbg_init(module_or_path) {
    if (wasm !== undefined) return wasm;
    if (__wbg_init_promise === undefined) {
        __wbg_init_promise = __wbg_init_once(module_or_path);
        __wbg_init_promise.catch(() => { __wbg_init_promise = undefined; });
    }
    return __wbg_init_promise;
}

async function __wbg_init_once(module_or_path) {

    if (module_or_path !== undefined) {
        if (Object.getPrototypeOf(module_or_path) === Object.prototype) {
            ({module_or_path} = module_or_path)
        } else {
            console.warn('using deprecated parameters for the initialization function; pass a single object instead')
        }
    }

    if (module_or_path === undefined) {
        module_or_path = new URL('ksom_web_bg.wasm', import.meta.url);
    }
    const imports = __wbg_get_imports();

    if (typeof module_or_path === 'string' || (typeof Request === 'function' && module_or_path instanceof Request) || (typeof URL === 'function' && module_or_path instanceof URL)) {
        module_or_path = fetch(module_or_path);
    }

    const { instance, module } = await __wbg_load(await module_or_path, imports);

    return __wbg_finalize_init(instance, module);
}

export { initSync, __wbg_init as default };
