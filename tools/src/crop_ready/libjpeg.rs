//! Reading and writing JPEG coefficients with libjpeg (`mozjpeg`).
//!
//! This is the package's only module with `unsafe`: libjpeg is C, and no library in Rust gives access to coefficients.
//! What makes it sound:
//!
//! - Each libjpeg object lives on the heap behind a raw pointer that never moves, is made in one place, and is destroyed
//!   by `Drop` on every path.
//! - libjpeg must not go on after an error. Its error callbacks unwind (the functions are `C-unwind`, and its C code is
//!   built with unwinding), every call is made inside [`guarded`], which catches that, and an object whose call has
//!   unwound is only ever destroyed.
//! - Its C code frees nothing but its own pools, which belong to the object; unwinding over it leaks nothing.
#![allow(
    unsafe_code,
    reason = "libjpeg is C; there is no library in Rust that gives access to coefficients"
)]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::slice;

use mozjpeg_sys as sys;

use super::header::Segment;

/// The most bytes of one image's coefficients: enough for ImageNet's largest photograph at any subsampling.
const MOST_COEFFICIENT_BYTES: sys::c_long = 1 << 29;

/// Bytes that the output buffer has at least.
const LEAST_BUFFER_BYTES: usize = 1 << 16;

/// The most bytes that the output buffer keeps between images. Larger images are rare.
const KEEP_BUFFER_BYTES: usize = 1 << 24;

/// Why libjpeg did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It warned of damage or found the file impossible.
    Damaged,
    /// It cannot do what was asked for.
    Unsupported,
    /// It would need more memory than it may have.
    OutOfMemory,
}

/// Calls libjpeg, and catches what its callbacks throw.
fn guarded<T>(calls: impl FnOnce() -> T) -> Result<T, Stop> {
    // Whatever a call was working on is only ever destroyed after it has unwound.
    catch_unwind(AssertUnwindSafe(calls)).map_err(|thrown| match thrown.downcast::<Stop>() {
        Ok(stop) => *stop,
        // A panic of Rust's own is not ours to swallow.
        Err(panic) => resume_unwind(panic),
    })
}

unsafe extern "C-unwind" fn on_error(common: &mut sys::jpeg_common_struct) {
    // SAFETY: `err` is the manager that `error_manager` made; libjpeg sets the code before it calls.
    let code = unsafe { (*common.err).msg_code };
    // `resume_unwind` prints nothing, in contrast to a panic.
    resume_unwind(Box::new(match code {
        sys::JERR_OUT_OF_MEMORY | sys::JERR_NO_BACKING_STORE | sys::JERR_WIDTH_OVERFLOW => {
            Stop::OutOfMemory
        }
        sys::JERR_BAD_DCT_COEF
        | sys::JERR_BAD_MCU_SIZE
        | sys::JERR_MISMATCHED_QUANT_TABLE
        | sys::JERR_ARITH_NOTIMPL
        | sys::JERR_SOF_UNSUPPORTED
        | sys::JERR_UNKNOWN_MARKER
        | sys::JERR_BAD_PRECISION => Stop::Unsupported,
        _ => Stop::Damaged,
    }));
}

unsafe extern "C-unwind" fn on_message(common: &mut sys::jpeg_common_struct, level: c_int) {
    // SAFETY: as in `on_error`.
    let code = unsafe { (*common.err).msg_code };
    // Files that claim JFIF 2 are common, and nothing in them is read differently.
    if level < 0 && code != sys::JWRN_JFIF_MAJOR {
        resume_unwind(Box::new(Stop::Damaged));
    }
}

unsafe extern "C-unwind" fn print_nothing(_: &mut sys::jpeg_common_struct) {}

/// An error manager that throws [`Stop`] and prints nothing.
fn error_manager() -> Box<sys::jpeg_error_mgr> {
    // SAFETY: it is a plain C struct: all zeros are null pointers, `None`s and numbers.
    let mut errors: Box<sys::jpeg_error_mgr> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: it fills in the struct that it is given.
    unsafe { sys::jpeg_std_error(&mut errors) };
    errors.error_exit = Some(on_error);
    errors.emit_message = Some(on_message);
    errors.output_message = Some(print_nothing);
    errors
}

/// All coefficients of a JPEG. Memory is that of the coefficients, two bytes each.
pub(super) struct Coefficients<'a> {
    info: *mut sys::jpeg_decompress_struct,
    errors: *mut sys::jpeg_error_mgr,
    /// One array for each component, in `info`'s memory.
    arrays: *mut *mut sys::jvirt_barray_control,
    /// `info` points into it.
    _jpeg: &'a [u8],
}

impl<'a> Coefficients<'a> {
    /// Reads the whole file. libjpeg's first warning ends it.
    pub(super) fn read(jpeg: &'a [u8]) -> Result<Self, Stop> {
        let bytes = jpeg.len().try_into().map_err(|_| Stop::OutOfMemory)?;
        let mut read = Self {
            // SAFETY: a plain C struct, as above; zero is the first value of its enums.
            info: Box::into_raw(Box::new(unsafe { std::mem::zeroed() })),
            errors: Box::into_raw(error_manager()),
            arrays: null_mut(),
            _jpeg: jpeg,
        };
        let info = read.info;
        // SAFETY: `info` and `errors` are valid until `read` is dropped, and `jpeg` lives longer.
        read.arrays = unsafe {
            (*info).common.err = read.errors;
            guarded(|| {
                sys::jpeg_create_decompress(info);
                (*(*info).common.mem).max_memory_to_use = MOST_COEFFICIENT_BYTES;
                sys::jpeg_mem_src(&mut *info, jpeg.as_ptr(), bytes);
                sys::jpeg_read_header(&mut *info, 1);
                sys::jpeg_read_coefficients(&mut *info)
            })?
        };
        // A source that waits for more bytes would give null; this one does not wait.
        if read.arrays.is_null() {
            return Err(Stop::Damaged);
        }
        Ok(read)
    }

    fn info(&self) -> &sys::jpeg_decompress_struct {
        // SAFETY: valid until `self` is dropped; libjpeg changes it only in `read` and in `row`, which holds no such
        // reference meanwhile.
        unsafe { &*self.info }
    }

    fn components(&self) -> &[sys::jpeg_component_info] {
        let info = self.info();
        let count = usize::try_from(info.num_components).unwrap_or(0);
        // SAFETY: libjpeg allocates as many when it reads the frame header, and has read it.
        unsafe { slice::from_raw_parts(info.comp_info, count) }
    }

    fn quantisation(&self, component: &sys::jpeg_component_info) -> Option<&[u16; 64]> {
        let number = usize::try_from(component.quant_tbl_no).ok()?;
        let table = *self.info().quant_tbl_ptrs.get(number)?;
        // SAFETY: null, or a table in the memory of `info`.
        unsafe { table.as_ref() }.map(|table| &table.quantval)
    }

    /// One row of blocks of a component.
    fn row(&self, component: usize, row: u32, blocks: usize) -> Result<&[[i16; 64]], Stop> {
        let info = self.info;
        // SAFETY: `component`, `row` and `blocks` are within the arrays' size, which `equal` takes from `info`. All rows
        // are in memory at once (there is no backing store), so that the slice stays valid as long as `self`.
        unsafe {
            guarded(|| {
                let access = (*(*info).common.mem).access_virt_barray?;
                let array = *self.arrays.add(component);
                let rows = access(&mut (*info).common, array, row, 1, 0);
                Some(slice::from_raw_parts((*rows).cast_const(), blocks))
            })?
            .ok_or(Stop::Unsupported)
        }
    }

    /// Whether all coefficients, quantisation tables, components and the size are the same.
    pub(super) fn equal(&self, other: &Self) -> Result<bool, Stop> {
        let size = |one: &Self| (one.info().image_width, one.info().image_height);
        let (mine, theirs) = (self.components(), other.components());
        if size(self) != size(other) || mine.len() != theirs.len() {
            return Ok(false);
        }
        for (i, (a, b)) in mine.iter().zip(theirs).enumerate() {
            let shape = |c: &sys::jpeg_component_info| {
                (
                    [c.component_id, c.h_samp_factor, c.v_samp_factor],
                    [c.width_in_blocks, c.height_in_blocks],
                )
            };
            if shape(a) != shape(b) || self.quantisation(a) != other.quantisation(b) {
                return Ok(false);
            }
            for row in 0..a.height_in_blocks {
                let blocks = a.width_in_blocks as usize;
                if self.row(i, row, blocks)? != other.row(i, row, blocks)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Drop for Coefficients<'_> {
    fn drop(&mut self) {
        // SAFETY: both came from `Box::into_raw` and are used no more. Destroying frees pools and throws nothing; it is
        // allowed on an object whose creation failed.
        unsafe {
            sys::jpeg_destroy_decompress(&mut *self.info);
            drop(Box::from_raw(self.info));
            drop(Box::from_raw(self.errors));
        }
    }
}

/// Where libjpeg writes to: a buffer that grows.
#[repr(C)]
struct Destination {
    /// First, because libjpeg knows the destination by the address of this.
    manager: sys::jpeg_destination_mgr,
    buffer: Vec<u8>,
}

unsafe extern "C-unwind" fn begin(_: &mut sys::jpeg_compress_struct) {}

unsafe extern "C-unwind" fn end(_: &mut sys::jpeg_compress_struct) {}

/// Makes the buffer larger; called when it is full.
unsafe extern "C-unwind" fn grow(info: &mut sys::jpeg_compress_struct) -> sys::boolean {
    // SAFETY: `dest` is the whole `Destination` that `Compressor::new` made, and nothing else refers to it now.
    let destination = unsafe { &mut *info.dest.cast::<Destination>() };
    let written = destination.buffer.len();
    destination.buffer.resize(2 * written, 0);
    destination.point_behind(written);
    1
}

impl Destination {
    /// Lets libjpeg write behind the first `written` bytes.
    fn point_behind(&mut self, written: usize) {
        let free = &mut self.buffer[written..];
        self.manager.free_in_buffer = free.len();
        self.manager.next_output_byte = free.as_mut_ptr();
    }
}

/// libjpeg's compression object.
struct Compressor {
    info: *mut sys::jpeg_compress_struct,
    errors: *mut sys::jpeg_error_mgr,
    destination: *mut Destination,
}

impl Compressor {
    fn new(buffer: Vec<u8>) -> Self {
        let mut destination = Box::new(Destination {
            manager: sys::jpeg_destination_mgr {
                next_output_byte: null_mut(),
                free_in_buffer: 0,
                init_destination: Some(begin),
                empty_output_buffer: Some(grow),
                term_destination: Some(end),
            },
            buffer,
        });
        destination.point_behind(0);
        Self {
            // SAFETY: a plain C struct, as above.
            info: Box::into_raw(Box::new(unsafe { std::mem::zeroed() })),
            errors: Box::into_raw(error_manager()),
            destination: Box::into_raw(destination),
        }
    }

    /// Writes a baseline file with the coefficients of `source` into the buffer; gives back its length.
    fn write(
        &self,
        source: &Coefficients<'_>,
        restart_mcus: u32,
        metadata: &[Segment<'_>],
    ) -> Result<usize, Stop> {
        let Self {
            info,
            errors,
            destination,
        } = *self;
        // SAFETY: all three are valid until `self` is dropped, and `source` lives longer than the call.
        unsafe {
            (*info).common.err = errors;
            guarded(|| {
                sys::jpeg_create_compress(info);
                (*info).dest = destination.cast();
                // Else mozjpeg would write progressive files. It must come before any default is set.
                let (profile, fastest) = (
                    sys::J_INT_PARAM::JINT_COMPRESS_PROFILE,
                    sys::JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST,
                );
                sys::jpeg_c_set_int_param(&mut *info, profile, fastest as c_int);
                // Component ids are copied too, after the defaults.
                sys::jpeg_copy_critical_parameters(&*source.info, &mut *info);
                (*info).scan_info = std::ptr::null();
                (*info).num_scans = 0;
                (*info).optimize_coding = 1;
                (*info).restart_interval = restart_mcus;
                // These are part of `metadata` where the source has them. Others would change the colours.
                (*info).write_JFIF_header = 0;
                (*info).write_Adobe_marker = 0;
                sys::jpeg_write_coefficients(&mut *info, source.arrays);
                for Segment { marker, body } in metadata {
                    let marker = c_int::from(*marker);
                    sys::jpeg_write_marker(&mut *info, marker, body.as_ptr(), body.len() as u32);
                }
                sys::jpeg_finish_compress(&mut *info);
            })?;
            Ok((*destination).buffer.len() - (*destination).manager.free_in_buffer)
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        // SAFETY: valid until `self` is dropped, and libjpeg uses it only during `write`.
        unsafe { &mut (*self.destination).buffer }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        // SAFETY: as for `Coefficients`; destroying does not touch the destination.
        unsafe {
            sys::jpeg_destroy_compress(&mut *self.info);
            drop(Box::from_raw(self.info));
            drop(Box::from_raw(self.errors));
            drop(Box::from_raw(self.destination));
        }
    }
}

/// Writes JPEGs from coefficients, into a buffer that it keeps.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    buffer: Vec<u8>,
}

impl Encoder {
    /// A baseline file with these coefficients, a restart marker every `restart_mcus` MCUs, and the given metadata right
    /// after its start.
    pub(super) fn encode(
        &mut self,
        source: &Coefficients<'_>,
        restart_mcus: u32,
        metadata: &[Segment<'_>],
    ) -> Result<Vec<u8>, Stop> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.truncate(KEEP_BUFFER_BYTES);
        buffer.shrink_to(KEEP_BUFFER_BYTES);
        if buffer.len() < LEAST_BUFFER_BYTES {
            buffer.resize(LEAST_BUFFER_BYTES, 0);
        }
        let mut compressor = Compressor::new(buffer);
        let written = compressor.write(source, restart_mcus, metadata);
        self.buffer = std::mem::take(compressor.buffer());
        written.map(|length| self.buffer[..length].to_vec())
    }
}
