//! Colors: those of the palette, and any.

/// A color.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Color {
    /// One of the palette's, 0–98. Clients show 0–15 as they please, often by the reader's theme.
    Palette(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How many colors the palette has; 99 means none.
const PALETTE_LEN: usize = 99;

/// The palette (modern.ircdocs.horse/formatting, "Colors" and "Colors 16–98").
#[rustfmt::skip]
const PALETTE: [u32; PALETTE_LEN] = [
    0xff_ff_ff, 0x00_00_00, 0x00_00_7f, 0x00_93_00, 0xff_00_00, 0x7f_00_00, 0x9c_00_9c, 0xfc_7f_00,
    0xff_ff_00, 0x00_fc_00, 0x00_93_93, 0x00_ff_ff, 0x00_00_fc, 0xff_00_ff, 0x7f_7f_7f, 0xd2_d2_d2,
    // From here on twelve hues a row, from dark to light, and a row of grays.
    0x47_00_00, 0x47_21_00, 0x47_47_00, 0x32_47_00, 0x00_47_00, 0x00_47_2c,
    0x00_47_47, 0x00_27_47, 0x00_00_47, 0x2e_00_47, 0x47_00_47, 0x47_00_2a,
    0x74_00_00, 0x74_3a_00, 0x74_74_00, 0x51_74_00, 0x00_74_00, 0x00_74_49,
    0x00_74_74, 0x00_40_74, 0x00_00_74, 0x4b_00_74, 0x74_00_74, 0x74_00_45,
    0xb5_00_00, 0xb5_63_00, 0xb5_b5_00, 0x7d_b5_00, 0x00_b5_00, 0x00_b5_71,
    0x00_b5_b5, 0x00_63_b5, 0x00_00_b5, 0x75_00_b5, 0xb5_00_b5, 0xb5_00_6b,
    0xff_00_00, 0xff_8c_00, 0xff_ff_00, 0xb2_ff_00, 0x00_ff_00, 0x00_ff_a0,
    0x00_ff_ff, 0x00_8c_ff, 0x00_00_ff, 0xa5_00_ff, 0xff_00_ff, 0xff_00_98,
    0xff_59_59, 0xff_b4_59, 0xff_ff_71, 0xcf_ff_60, 0x6f_ff_6f, 0x65_ff_c9,
    0x6d_ff_ff, 0x59_b4_ff, 0x59_59_ff, 0xc4_59_ff, 0xff_66_ff, 0xff_59_bc,
    0xff_9c_9c, 0xff_d3_9c, 0xff_ff_9c, 0xe2_ff_9c, 0x9c_ff_9c, 0x9c_ff_db,
    0x9c_ff_ff, 0x9c_d3_ff, 0x9c_9c_ff, 0xdc_9c_ff, 0xff_9c_ff, 0xff_94_d3,
    0x00_00_00, 0x13_13_13, 0x28_28_28, 0x36_36_36, 0x4d_4d_4d, 0x65_65_65,
    0x81_81_81, 0x9f_9f_9f, 0xbc_bc_bc, 0xe2_e2_e2, 0xff_ff_ff,
];

impl Color {
    /// Red, green, blue. A number that is not in the palette stands for no color, and is given as black.
    #[must_use]
    pub fn to_rgb(self) -> (u8, u8, u8) {
        match self {
            Self::Rgb(red, green, blue) => (red, green, blue),
            Self::Palette(number) => {
                let packed = PALETTE.get(usize::from(number)).copied().unwrap_or(0);
                let [_, red, green, blue] = packed.to_be_bytes();
                (red, green, blue)
            }
        }
    }

    /// The color of the palette that looks most like it: itself where it is of the palette, and of those that are the same
    /// the one that the most clients know.
    #[must_use]
    pub fn nearest(self) -> Self {
        if let Self::Palette(number) = self
            && usize::from(number) < PALETTE_LEN
        {
            return self;
        }
        let wanted = self.to_rgb();
        let nearest = (0..PALETTE_LEN as u8)
            .map(Self::Palette)
            .min_by_key(|color| distance(wanted, color.to_rgb()));
        nearest.unwrap_or(Self::Palette(1))
    }

    /// It, where it is a color at all.
    pub(super) fn known(self) -> Option<Self> {
        match self {
            Self::Palette(number) if usize::from(number) >= PALETTE_LEN => None,
            _ => Some(self),
        }
    }
}

/// How unlike two colors look: the eye sees green best, and red or blue by how red it is altogether ("redmean").
fn distance(left: (u8, u8, u8), right: (u8, u8, u8)) -> u32 {
    let mean = (u32::from(left.0) + u32::from(right.0)) / 2;
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let red = (512 + mean) * square(left.0, right.0);
    let green = 1024 * square(left.1, right.1);
    let blue = (767 - mean) * square(left.2, right.2);
    red + green + blue
}
