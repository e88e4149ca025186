//! A chart → an SVG of horizontal bars, readable on light and on dark.

use std::{fmt::Write, fs, path::Path};

use crate::{
    chart::{Chart, Kind, Scale},
    compare::digits,
    fixture::Failure,
};

const WIDTH: f64 = 960.0;
/// Where bars begin: names stand to the left of it.
const LEFT: f64 = 390.0;
/// Where they end: figures stand to the right of it.
const RIGHT: f64 = 880.0;
const TOP: f64 = 64.0;
const STEP: f64 = 30.0;

/// Its own ground, so that it is readable whatever is around it.
const STYLE: &str = "
.ground{fill:#fff;stroke:#d0d7de}text{font:13px system-ui,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#59636e}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:#d0d7de}.spread{stroke:#1f2328;stroke-width:1.5}.ours{fill:#0969da}.floor{fill:#8c959f}.peer{fill:#cf6f2e}
@media(prefers-color-scheme:dark){.ground{fill:#0d1117;stroke:#3d444d}text{fill:#f0f6fc}.small{fill:#9198a1}
.grid{stroke:#3d444d}.spread{stroke:#f0f6fc}.ours{fill:#4493f8}.floor{fill:#6e7681}.peer{fill:#db8b4b}}
";

pub(crate) fn run(data: &Path, svg: &Path) -> Result<(), Failure> {
    Ok(fs::write(svg, draw(&Chart::read(data)?)?)?)
}

/// Values → places between the ends of bars.
struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    marks: Vec<f64>,
}

impl Axis {
    fn of(chart: &Chart) -> Self {
        let values = || chart.rows.iter().flat_map(|row| [row.value, row.low, row.high]).flatten();
        let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
        match chart.scale {
            Scale::Log => {
                // A bar has no natural beginning here: half of the least, so that it can be seen.
                let (least, most) = (least / 2.0, most * 1.1);
                let powers = least.log10().ceil() as i32..=most.log10().floor() as i32;
                let marks = powers.map(|power| 10_f64.powi(power)).collect();
                Self { scale: Scale::Log, least, most, marks }
            }
            Scale::Linear => {
                let power = 10_f64.powf((most / 4.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
                let step = step.into_iter().find(|step| most / step <= 6.0).unwrap_or(most);
                let count = (most / step).ceil() as u32;
                let marks = (0..=count).map(|mark| f64::from(mark) * step).collect();
                Self { scale: Scale::Linear, least: 0.0, most: f64::from(count) * step, marks }
            }
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => value / self.most,
            Scale::Log => (value / self.least).log10() / (self.most / self.least).log10(),
        };
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

fn draw(chart: &Chart) -> Result<String, Failure> {
    let axis = Axis::of(chart);
    let bottom = TOP + STEP * chart.rows.len() as f64;
    let height = bottom + 62.0 + 15.0 * chart.about.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
         <text class=\"title\" x=\"20\" y=\"34\">{title}</text>\n",
        WIDTH - 1.0,
        height - 1.0,
        title = escaped(&chart.title),
    );
    for mark in &axis.marks {
        let x = axis.at(*mark);
        writeln!(svg, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>", TOP - 6.0)?;
        writeln!(svg, "<text class=\"small mid\" x=\"{x:.1}\" y=\"{}\">{mark}</text>", bottom + 16.0)?;
    }
    for (position, row) in chart.rows.iter().enumerate() {
        let y = TOP + STEP * position as f64;
        let middle = y + 15.0;
        writeln!(svg, "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text>", LEFT - 10.0, y + 16.0, escaped(&row.name))?;
        let Some(value) = row.value else {
            writeln!(
                svg,
                "<text class=\"small\" x=\"{}\" y=\"{}\">{}</text>",
                LEFT + 6.0,
                y + 16.0,
                escaped(&row.note)
            )?;
            continue;
        };
        let class = match row.kind {
            Kind::Ours => "ours",
            Kind::Floor => "floor",
            Kind::Peer => "peer",
        };
        let end = axis.at(value);
        writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"18\" rx=\"2\"/>",
            y + 2.0,
            (end - LEFT).max(1.0)
        )?;
        let mut label = end;
        if let (Some(low), Some(high)) = (row.low, row.high) {
            let (from, to) = (axis.at(low), axis.at(high));
            writeln!(
                svg,
                "<path class=\"spread\" d=\"M{from:.1} {0}H{to:.1}M{from:.1} {1}v8M{to:.1} {1}v8\"/>",
                middle - 4.0,
                middle - 8.0
            )?;
            label = label.max(to);
        }
        writeln!(svg, "<text x=\"{:.1}\" y=\"{}\">{}</text>", label + 8.0, y + 16.0, digits(value))?;
    }
    writeln!(
        svg,
        "<text class=\"small mid\" x=\"{}\" y=\"{}\">{}{}</text>",
        f64::midpoint(LEFT, RIGHT),
        bottom + 36.0,
        escaped(&chart.axis),
        if axis.scale == Scale::Log { " (logarithmic)" } else { "" }
    )?;
    for (line, text) in chart.about.iter().enumerate() {
        let y = bottom + 58.0 + 15.0 * line as f64;
        writeln!(svg, "<text class=\"small\" x=\"20\" y=\"{y}\">{}</text>", escaped(text))?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
