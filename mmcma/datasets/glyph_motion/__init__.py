"""The world that GlyphPictures and GlyphMotion show: glyphs, what they do, what is said of them, how they are drawn."""
