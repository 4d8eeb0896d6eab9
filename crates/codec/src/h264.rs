//! openh264 behind a small safe wrapper: one encoder, one decoder.
//!
//! The crate's safe API lacks changes of the bit rate, a least quantiser and long-term references, so the raw one is
//! used here and nowhere else. The encoder makes
//! constrained baseline (its own decoder holds a frame of the higher profiles back), in camera mode, with one thread and
//! no load balancing (its runs would differ), one slice a frame, and no frame is ever skipped: the frame is the unit of
//! loss, and rate is the planner's business. The decoder conceals nothing: what is not whole is refused.
//!
//! Every few frames the encoder marks one as a long-term reference, which both ends keep. Who codes says when one has
//! arrived ([`H264Encoder::arrived`]); after a loss the next frame is made from the last one that did
//! ([`H264Encoder::lost`]), where others would need a key frame.
//!
//! It is built in from source, unless the person names Cisco's own binary ([`load`]).
#![allow(unsafe_code)]

mod library;

use core::ffi::{c_int, c_uint, c_void};
pub use library::{LoadError, load};
use openh264_sys2 as sys;
use sys::{API, DynamicAPI};

/// A picture in I420: full-size luma, half-size chroma.
#[derive(Clone, Debug, Default)]
pub struct I420 {
    /// Width in pixels, even.
    pub w: u32,
    /// Height in pixels, even.
    pub h: u32,
    /// Luma, `w * h` bytes.
    pub y: Vec<u8>,
    /// Blue difference, `w / 2 * h / 2` bytes.
    pub u: Vec<u8>,
    /// Red difference, the same.
    pub v: Vec<u8>,
}

impl I420 {
    /// Makes room for a picture of this size; both sides even.
    pub fn resize(&mut self, w: u32, h: u32) {
        let (luma, chroma) = (w as usize * h as usize, (w as usize / 2) * (h as usize / 2));
        (self.w, self.h) = (w, h);
        self.y.resize(luma, 0);
        self.u.resize(chroma, 128);
        self.v.resize(chroma, 128);
    }
}

/// A decoded picture, in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
    /// Luma, blue difference, red difference.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next of luma, and of both others.
    pub strides: [usize; 2],
}

/// An H.264 encoder for pictures of one size.
pub struct H264Encoder {
    /// What made `raw`, and destroys it.
    by: &'static DynamicAPI,
    raw: *mut sys::ISVCEncoder,
    w: u32,
    h: u32,
    bps: u64,
    frames: i64,
}

/// A frame that was marked as a long-term reference, as its stream names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    key: c_int,
    frame: c_int,
}

// SAFETY: the encoder is a C++ object without thread-local state; it is used through `&mut` only, and one thread is
// asked for, so nothing else touches it.
unsafe impl Send for H264Encoder {}

/// The bit rates that openh264 is asked for: below, it starves; above, its levels end.
const RATES: core::ops::RangeInclusive<u64> = 100_000..=60_000_000;
/// The quantisers of H.264; those of openh264's own control end at 51 too.
const QUANTISERS: core::ops::RangeInclusive<u8> = 1..=51;
/// Frames from one long-term reference to the next at least: a quarter of a second. It waits for the one before to arrive.
const MARK_EVERY: u32 = 8;
/// Two long-term references, one of which is on its way, and the frame before.
const REFERENCES: c_int = 3;

impl H264Encoder {
    /// An encoder for `w` by `h` (even) at `bps` bits and `hz` frames a second, but never finer than the first of
    /// `quantisers`, whatever the rate allows, and never coarser than the second, whatever it does not. None if openh264 refuses.
    pub fn new(w: u32, h: u32, bps: u64, hz: f32, quantisers: (u8, u8)) -> Option<Self> {
        Self::of(library::in_use(), (w, h), bps, hz, quantisers)
    }

    fn of(by: &'static DynamicAPI, (w, h): (u32, u32), bps: u64, hz: f32, quantisers: (u8, u8)) -> Option<Self> {
        let mut raw = core::ptr::null_mut();
        // SAFETY: `raw` is a valid place for the pointer that the call makes.
        let made = unsafe { by.WelsCreateSVCEncoder(&mut raw) };
        if made != 0 || raw.is_null() {
            return None;
        }
        let bps = bps.clamp(*RATES.start(), *RATES.end());
        // From here on drop destroys it.
        let mut new = Self { by, raw, w, h, bps, frames: 0 };
        // Before it is initialised, or it writes to standard error meanwhile.
        new.option(sys::ENCODER_OPTION_TRACE_LEVEL, &mut { sys::WELS_LOG_QUIET });
        let mut p = sys::SEncParamExt::default();
        let vtbl = new.vtbl()?;
        // SAFETY: `raw` is a live encoder, and `p` a valid place for its parameters.
        if unsafe { vtbl.GetDefaultParams?(raw, &mut p) } != 0 {
            return None;
        }
        (p.iPicWidth, p.iPicHeight) = (w as c_int, h as c_int);
        p.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
        p.iTargetBitrate = bps as c_int;
        p.iMaxBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
        p.iRCMode = sys::RC_BITRATE_MODE;
        p.fMaxFrameRate = hz;
        (p.iTemporalLayerNum, p.iSpatialLayerNum) = (1, 1);
        p.iComplexityMode = sys::LOW_COMPLEXITY;
        p.uiIntraPeriod = 0;
        p.iNumRefFrame = REFERENCES;
        let within = |q: u8| c_int::from(q.clamp(*QUANTISERS.start(), *QUANTISERS.end()));
        (p.iMinQp, p.iMaxQp) = (within(quantisers.0), within(quantisers.1.max(quantisers.0)));
        p.eSpsPpsIdStrategy = sys::CONSTANT_ID;
        p.iEntropyCodingModeFlag = 0;
        p.bEnableFrameSkip = false;
        p.iMultipleThreadIdc = 1;
        p.bUseLoadBalancing = false;
        p.bEnableSceneChangeDetect = false;
        p.bEnableLongTermReference = true;
        p.iLtrMarkPeriod = MARK_EVERY;
        let layer = &mut p.sSpatialLayers[0];
        (layer.iVideoWidth, layer.iVideoHeight) = (w as c_int, h as c_int);
        layer.fFrameRate = hz;
        layer.iSpatialBitrate = bps as c_int;
        layer.iMaxSpatialBitrate = sys::UNSPECIFIED_BIT_RATE as c_int;
        layer.uiProfileIdc = sys::PRO_BASELINE;
        layer.uiLevelIdc = sys::LEVEL_UNKNOWN;
        layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = sys::VF_UNDEF as u8;
        layer.bFullRange = true;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = sys::CP_BT709 as u8;
        layer.uiTransferCharacteristics = sys::TRC_BT709 as u8;
        layer.uiColorMatrix = sys::CM_BT709 as u8;
        let vtbl = new.vtbl()?;
        // SAFETY: `raw` is a live encoder, and `p` was filled by it.
        if unsafe { vtbl.InitializeExt?(raw, &p) } != 0 {
            return None;
        }
        new.option(sys::ENCODER_OPTION_DATAFORMAT, &mut { sys::videoFormatI420 });
        Some(new)
    }

    /// From the next frame on code at `bps` bits a second; changes under a 32nd are not worth it.
    pub fn rate(&mut self, bps: u64) {
        let bps = bps.clamp(*RATES.start(), *RATES.end());
        if bps.abs_diff(self.bps) * 32 > self.bps {
            let mut info = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: bps as c_int };
            if self.option(sys::ENCODER_OPTION_BITRATE, &mut info) {
                self.bps = bps;
            }
        }
    }

    /// Codes a picture of the encoder's size, appending Annex B bytes to `out`; `key` asks for one that needs no
    /// other. False, and nothing appended, if openh264 refuses or makes nothing.
    pub fn encode(&mut self, picture: &mut I420, key: bool, out: &mut Vec<u8>) -> bool {
        let luma = self.w as usize * self.h as usize;
        let chroma = (self.w as usize / 2) * (self.h as usize / 2);
        let fits = picture.y.len() >= luma && picture.u.len() >= chroma && picture.v.len() >= chroma;
        let Some(vtbl) = self.vtbl() else { return false };
        let (Some(force), Some(encode)) = (vtbl.ForceIntraFrame, vtbl.EncodeFrame) else { return false };
        if !fits || (picture.w, picture.h) != (self.w, self.h) {
            return false;
        }
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [self.w as c_int, self.w as c_int / 2, self.w as c_int / 2, 0],
            pData: [picture.y.as_mut_ptr(), picture.u.as_mut_ptr(), picture.v.as_mut_ptr(), core::ptr::null_mut()],
            iPicWidth: self.w as c_int,
            iPicHeight: self.h as c_int,
            uiTimeStamp: self.frames * 33,
            ..Default::default()
        };
        self.frames += 1;
        let mut info = sys::SFrameBSInfo::default();
        // SAFETY: `raw` is a live, initialised encoder; the planes hold as many bytes as size and strides say (checked
        // above) and outlive the call; `info` is a valid place for the result.
        let coded = unsafe { (!key || force(self.raw, true) == 0) && encode(self.raw, &source, &mut info) == 0 };
        if !coded || info.iFrameSizeInBytes <= 0 {
            return false;
        }
        let start = out.len();
        for layer in info.sLayerInfo.iter().take(info.iLayerNum.max(0) as usize) {
            if layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() || layer.iNalCount <= 0 {
                continue;
            }
            // SAFETY: the encoder keeps `iNalCount` lengths there until its next call.
            let lengths = unsafe { core::slice::from_raw_parts(layer.pNalLengthInByte, layer.iNalCount as usize) };
            let len = lengths.iter().map(|n| (*n).max(0) as usize).sum();
            // SAFETY: the layer's NAL units stand one after the other in the encoder's buffer until its next call.
            out.extend_from_slice(unsafe { core::slice::from_raw_parts(layer.pBsBuf, len) });
        }
        out.len() > start
    }

    /// The mean quantiser of the last frame, 51 if openh264 does not say.
    pub fn quantiser(&mut self) -> u8 {
        let mut statistics = sys::SEncoderStatistics::default();
        let Some(get) = self.vtbl().and_then(|v| v.GetOption) else { return *QUANTISERS.end() };
        let place: *mut sys::SEncoderStatistics = &mut statistics;
        // SAFETY: `raw` is a live encoder; the statistics are valid for the call and of the type that openh264's
        // documentation names for this option.
        let told = unsafe { get(self.raw, sys::ENCODER_OPTION_GET_STATISTICS, place.cast::<c_void>()) } == 0;
        let quantiser = u8::try_from(statistics.uiAverageFrameQP).ok().filter(|q| told && QUANTISERS.contains(q));
        quantiser.unwrap_or(*QUANTISERS.end())
    }

    /// The other end has the frame with this mark: the frames after a loss may refer to it.
    pub fn arrived(&mut self, mark: Mark) {
        self.answer(mark, sys::LTR_MARKING_SUCCESS);
    }

    /// The other end lacks the last frames, perhaps the one with this mark too: the next one refers to the last
    /// long-term reference that arrived. The last key frame, `key`, counts for one, and must have arrived.
    pub fn lost(&mut self, key: c_int, mark: Option<Mark>) {
        mark.into_iter().for_each(|mark| self.answer(mark, sys::LTR_MARKING_FAILED));
        // No number of a frame: whatever came after the reference is lost.
        let mut request = sys::SLTRRecoverRequest {
            uiFeedbackType: sys::LTR_RECOVERY_REQUEST as c_uint,
            uiIDRPicId: key as c_uint,
            iLastCorrectFrameNum: 0,
            iCurrentFrameNum: -1,
            iLayerId: 0,
        };
        self.option(sys::ENCODER_LTR_RECOVERY_REQUEST, &mut request);
    }

    fn answer(&mut self, mark: Mark, how: core::ffi::c_int) {
        let mut answer = sys::SLTRMarkingFeedback {
            uiFeedbackType: how as c_uint,
            uiIDRPicId: mark.key as c_uint,
            iLTRFrameNum: mark.frame,
            iLayerId: 0,
        };
        self.option(sys::ENCODER_LTR_MARKING_FEEDBACK, &mut answer);
    }

    fn vtbl(&self) -> Option<&sys::ISVCEncoderVtbl> {
        // SAFETY: `raw` was made by WelsCreateSVCEncoder and is destroyed by drop only; its first word points to the
        // table of functions, which lives as long as the library.
        unsafe { self.raw.as_ref().and_then(|table| table.as_ref()) }
    }

    /// Sets an option. `T` is the type that openh264's documentation names for it.
    fn option<T>(&mut self, option: sys::ENCODER_OPTION, value: &mut T) -> bool {
        let Some(set) = self.vtbl().and_then(|v| v.SetOption) else { return false };
        let value: *mut T = value;
        // SAFETY: `raw` is a live encoder; the value is valid for the call and of the option's type: the callers are
        // those above, with two ints, an SBitrateInfo, an SLTRRecoverRequest and an SLTRMarkingFeedback.
        unsafe { set(self.raw, option, value.cast::<c_void>()) == 0 }
    }
}

impl Drop for H264Encoder {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.vtbl().and_then(|v| v.Uninitialize) {
            // SAFETY: `raw` is live; uninitialising an encoder that was not initialised is allowed.
            unsafe { uninitialize(self.raw) };
        }
        // SAFETY: `raw` was made by WelsCreateSVCEncoder and is not used after this.
        unsafe { self.by.WelsDestroySVCEncoder(self.raw) };
    }
}

/// An H.264 decoder.
pub struct H264Decoder {
    /// What made `raw`, and destroys it.
    by: &'static DynamicAPI,
    raw: *mut sys::ISVCDecoder,
    /// Where the last picture stands in the decoder's memory, until it decodes again.
    shown: Option<Shown>,
}

/// Planes with their sizes in bytes, as the decoder keeps them.
#[derive(Clone, Copy, Debug)]
struct Shown {
    w: u32,
    h: u32,
    planes: [(*const u8, usize); 3],
    strides: [usize; 2],
}

// SAFETY: as for the encoder: no thread-local state, used through `&mut` only.
unsafe impl Send for H264Decoder {}

impl H264Decoder {
    /// A decoder that has seen nothing. None if openh264 refuses.
    pub fn new() -> Option<Self> {
        Self::of(library::in_use())
    }

    fn of(by: &'static DynamicAPI) -> Option<Self> {
        let mut raw = core::ptr::null_mut();
        // SAFETY: `raw` is a valid place for the pointer that the call makes.
        let made = unsafe { by.WelsCreateDecoder(&mut raw) };
        if made != 0 || raw.is_null() {
            return None;
        }
        let new = Self { by, raw, shown: None };
        let mut p = sys::SDecodingParam { eEcActiveIdc: sys::ERROR_CON_DISABLE, ..Default::default() };
        p.uiTargetDqLayer = u8::MAX;
        p.sVideoProperty.eVideoBsType = sys::VIDEO_BITSTREAM_AVC;
        let vtbl = new.vtbl()?;
        let mut quiet = sys::WELS_LOG_QUIET;
        // SAFETY: `raw` is a live decoder; the parameters and the option's int are valid for the calls.
        unsafe {
            if vtbl.Initialize?(raw, &p) != 0 {
                return None;
            }
            vtbl.SetOption?(raw, sys::DECODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast::<c_void>());
        }
        Some(new)
    }

    /// Decodes one whole frame (Annex B). None unless it is without fault and gives a picture at once.
    ///
    /// The stream's sizes must have been checked before ([`crate::sps::check`]): openh264 allocates by them.
    pub fn decode(&mut self, frame: &[u8]) -> Option<Picture<'_>> {
        self.shown = None;
        let len = c_int::try_from(frame.len()).ok()?;
        let mut planes = [core::ptr::null_mut::<u8>(); 3];
        let mut info = sys::SBufferInfo::default();
        let decode = self.vtbl()?.DecodeFrameNoDelay?;
        // SAFETY: `raw` is a live, initialised decoder; the frame is valid for the call; `planes` and `info` are valid
        // places for three pointers and the description of the picture.
        let state = unsafe { decode(self.raw, frame.as_ptr(), len, planes.as_mut_ptr(), &mut info) };
        if state != sys::dsErrorFree || info.iBufferStatus != 1 {
            return None;
        }
        // SAFETY: status 1 says that the union holds a system buffer, its only member.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let (w, h) = (u32::try_from(buffer.iWidth).ok()?, u32::try_from(buffer.iHeight).ok()?);
        let strides = [usize::try_from(buffer.iStride[0]).ok()?, usize::try_from(buffer.iStride[1]).ok()?];
        let (cw, ch) = (w as usize / 2, h as usize / 2);
        if planes.iter().any(|p| p.is_null()) || cw == 0 || ch == 0 || strides[0] < w as usize || strides[1] < cw {
            return None;
        }
        let len = |stride: usize, w: usize, h: usize| stride * (h - 1) + w;
        let [y, u, v] = planes.map(<*mut u8>::cast_const);
        let chroma = len(strides[1], cw, ch);
        let planes = [(y, len(strides[0], w as usize, h as usize)), (u, chroma), (v, chroma)];
        self.shown = Some(Shown { w, h, planes, strides });
        self.picture()
    }

    /// The picture that was decoded last, if the last call decoded one.
    pub fn picture(&self) -> Option<Picture<'_>> {
        let Shown { w, h, planes, strides } = self.shown?;
        // SAFETY: the decoder keeps `h` rows of luma and half as many of chroma at these strides until its next call,
        // which needs `&mut self`: that ends the borrow, and `shown` is taken back before it.
        let planes = planes.map(|(start, len)| unsafe { core::slice::from_raw_parts(start, len) });
        Some(Picture { w, h, planes, strides })
    }

    /// The long-term reference that the last frame marked, if it did.
    pub fn mark(&mut self) -> Option<Mark> {
        let marks = self.number(sys::DECODER_OPTION_LTR_MARKING_FLAG)? != 0;
        let (key, frame) = (self.key()?, self.number(sys::DECODER_OPTION_LTR_MARKED_FRAME_NUM)?);
        marks.then_some(Mark { key, frame })
    }

    /// The name of the last key frame.
    pub fn key(&mut self) -> Option<c_int> {
        self.number(sys::DECODER_OPTION_IDR_PIC_ID)
    }

    /// What an option that is a number says.
    fn number(&mut self, option: sys::DECODER_OPTION) -> Option<c_int> {
        let get = self.vtbl()?.GetOption?;
        let mut value: c_int = 0;
        // SAFETY: `raw` is a live decoder, and the callers' options are ints.
        (unsafe { get(self.raw, option, (&raw mut value).cast::<c_void>()) } == 0).then_some(value)
    }

    fn vtbl(&self) -> Option<&sys::ISVCDecoderVtbl> {
        // SAFETY: as for the encoder.
        unsafe { self.raw.as_ref().and_then(|table| table.as_ref()) }
    }
}

impl Drop for H264Decoder {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.vtbl().and_then(|v| v.Uninitialize) {
            // SAFETY: `raw` is live.
            unsafe { uninitialize(self.raw) };
        }
        // SAFETY: `raw` was made by WelsCreateDecoder and is not used after this.
        unsafe { self.by.WelsDestroyDecoder(self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(w: u32, h: u32, shift: usize) -> I420 {
        let mut p = I420::default();
        p.resize(w, h);
        for (i, y) in p.y.iter_mut().enumerate() {
            *y = (((i % w as usize + shift) * 3) ^ (i / w as usize)) as u8;
        }
        p
    }

    #[test]
    fn every_frame_comes_out_at_once_and_runs_are_alike() {
        let run = || {
            let mut enc = H264Encoder::new(128, 64, 1_000_000, 30.0, (12, 51)).unwrap();
            let mut dec = H264Decoder::new().unwrap();
            let mut all = Vec::new();
            for n in 0..8 {
                let mut frame = Vec::new();
                enc.rate(1_000_000 + n * 400_000);
                assert!(enc.encode(&mut picture(128, 64, n as usize), n == 0 || n == 5, &mut frame));
                let p = dec.decode(&frame).unwrap();
                assert_eq!((p.w, p.h), (128, 64));
                all.extend(frame);
                all.extend_from_slice(p.planes[0]);
            }
            all
        };
        assert!(run() == run());
    }

    #[test]
    fn a_frame_without_its_reference_is_refused() {
        let mut enc = H264Encoder::new(64, 64, 500_000, 30.0, (12, 51)).unwrap();
        let mut frames = Vec::new();
        for n in 0..3 {
            let mut frame = Vec::new();
            assert!(enc.encode(&mut picture(64, 64, n * 7), n == 0, &mut frame));
            frames.push(frame);
        }
        let mut dec = H264Decoder::new().unwrap();
        assert!(dec.decode(&frames[1]).is_none());
        assert!(dec.decode(&[1, 2, 3]).is_none());
        assert!(dec.decode(&[]).is_none());
        assert!(H264Decoder::new().unwrap().decode(&frames[0]).is_some());
    }

    /// Cisco's binary and what is built in understand one another, frame by frame.
    #[test]
    fn ciscos_binary_codes_and_decodes_like_what_is_built_in() {
        let Some(path) = std::env::var_os("TELEPANE_OPENH264") else {
            println!("skipped: no Cisco binary of openh264 (TELEPANE_OPENH264 names one)");
            return;
        };
        let loaded: &'static DynamicAPI = Box::leak(Box::new(library::open(path.as_ref()).unwrap()));
        let built: &'static DynamicAPI = Box::leak(Box::new(DynamicAPI::from_source()));
        for (one, other) in [(loaded, built), (built, loaded), (loaded, loaded)] {
            let mut enc = H264Encoder::of(one, (128, 64), 1_000_000, 30.0, (12, 51)).unwrap();
            let mut decoders = [one, other].map(|by| H264Decoder::of(by).unwrap());
            for n in 0..8 {
                let mut frame = Vec::new();
                enc.rate(1_000_000 + n * 400_000);
                assert!(enc.encode(&mut picture(128, 64, n as usize), n == 0, &mut frame));
                let [a, b] = decoders.each_mut().map(|dec| dec.decode(&frame).unwrap());
                assert_eq!((a.w, a.h, a.planes), (b.w, b.h, b.planes));
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        let mut enc = H264Encoder::new(64, 64, 500_000, 30.0, (12, 51)).unwrap();
        assert!(!enc.encode(&mut picture(128, 64, 0), true, &mut Vec::new()));
    }
}
