/* The style sheet, piece by piece: a string literal has its limit in C. */
#include "report/page.h"

static const char *const pieces[] = {
    /* Colours. Paths have those of the figures, made lighter where the page is dark. */
    ":root{color-scheme:light dark;--page:#f7f6f3;--card:#fff;--ink:#1b1e22;--soft:#5c6269;--line:#dedcd6;"
    "--naive:#b84e00;--cached:#005f99;--memory:#7b3294;--good:#1f6b3a;--bad:#a3262a;--amber:#8a5a00;"
    "--tint:#eef3f7;--amber-tint:#fbf3e0;--shadow:0 1px 2px rgb(0 0 0/.06)}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#14171a;--card:#1c2024;--ink:#e6e7e8;--soft:#a2a8ae;"
    "--line:#343a40;--naive:#f0944d;--cached:#62b5ee;--memory:#cf9be2;--good:#7cc894;--bad:#f08a8a;--amber:#e5b75c;"
    "--tint:#222a31;--amber-tint:#2c2618;--shadow:none}}\n"
    "@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;"
    "--naive:#b84e00;--cached:#005f99;--memory:#7b3294;--good:#1f6b3a;--bad:#a3262a;--amber:#8a5a00;--tint:#fff;"
    "--amber-tint:#fff;--shadow:none}}\n",
    /* Text */
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\n"
    "body{margin:0;background:var(--page);color:var(--ink);"
    "font:1rem/1.6 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"DejaVu Sans\",sans-serif;"
    "overflow-wrap:break-word}\n"
    "header,nav,main,footer{max-width:62rem;margin:0 auto;padding:0 1.25rem}\n"
    "h1{font-size:clamp(1.75rem,5vw,2.6rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 1rem;text-wrap:balance}\n"
    "h1 em{font-style:normal;color:var(--cached)}\n"
    "h2{font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 1rem;padding-top:1.5rem;"
    "border-top:2px solid var(--ink)}\n"
    "h3{font-size:1.1rem;line-height:1.35;margin:2rem 0 .5rem}\n"
    "h3 .soft{font-weight:400;font-size:.9rem}\n"
    "p,li,dd,figcaption{max-width:46rem}\np{margin:.5rem 0 1rem}\n"
    "a{color:var(--cached)}\n"
    "code{font:.9em/1.4 ui-monospace,\"Cascadia Mono\",Menlo,\"DejaVu Sans Mono\",monospace;"
    "background:var(--tint);padding:.1em .3em;border-radius:3px;overflow-wrap:anywhere}\n"
    ".soft{color:var(--soft)}\n.naive{color:var(--naive)}\n.cached{color:var(--cached)}\n"
    ".memory{color:var(--memory)}\n"
    ":focus-visible{outline:2px solid var(--cached);outline-offset:2px}\n",
    /* Top */
    "header{padding-top:3rem}\n"
    ".over{margin:0 0 .25rem;font-size:.85rem;font-weight:600;letter-spacing:.06em;text-transform:uppercase;"
    "color:var(--soft)}\n"
    ".lead{font-size:1.15rem;line-height:1.55}\n"
    ".about{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1rem 1.5rem;margin:1.5rem 0}\n"
    ".about dt{font-size:.8rem;color:var(--soft)}\n.about dd{margin:0;font-weight:600;line-height:1.4}\n"
    "nav{position:sticky;top:0;z-index:2;display:flex;gap:1.25rem;overflow-x:auto;padding-top:.75rem;"
    "padding-bottom:.75rem;background:var(--page);white-space:nowrap;scrollbar-width:none}\n"
    "nav a{text-decoration:none;font-weight:600;font-size:.95rem}\nnav a:hover{text-decoration:underline}\n"
    "section{margin:2rem 0 3.5rem;scroll-margin-top:2.5rem}\n"
    "footer{padding-top:1.25rem;padding-bottom:3rem;font-size:.85rem;color:var(--soft)}\n",
    /* Findings */
    ".numbers{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.75rem;"
    "margin:0 0 1.5rem;padding:0}\n"
    ".numbers li{display:flex;flex-direction:column;gap:.35rem;padding:1rem;background:var(--card);"
    "border:1px solid var(--line);border-top:4px solid;border-radius:6px;box-shadow:var(--shadow)}\n"
    ".numbers b{font-size:2rem;line-height:1;letter-spacing:-.02em}\n"
    ".numbers b small{font-size:1.1rem;margin-left:.1em;letter-spacing:0}\n"
    ".numbers span{font-size:.9rem;line-height:1.4;color:var(--ink)}\n"
    ".numbers li>small{font-size:.8rem;color:var(--soft);margin-top:auto}\n"
    ".findings{list-style:none;margin:0 0 1rem;padding:0}\n"
    ".findings li{padding:.4rem 0 .4rem 7.5rem;position:relative;max-width:54rem}\n"
    ".findings .topic{position:absolute;left:0;font-size:.85rem;line-height:1.9;color:var(--soft)}\n"
    "details{margin:.5rem 0 1rem}\nsummary{cursor:pointer;font-weight:600;color:var(--cached)}\n"
    "details[open] summary{margin-bottom:.5rem}\n",
    /* Figures: they are drawn on white, so they keep a light card where the page is dark. A phone shows them large
     * enough to be read and scrolls inside the card. */
    "figure{margin:0 0 2.5rem}\nfigure h3{margin-top:0;font-size:1.2rem}\n"
    ".canvas{background:#fff;border:1px solid var(--line);border-radius:6px;padding:.75rem;overflow-x:auto;"
    "box-shadow:var(--shadow)}\n"
    ".canvas svg,.canvas img{display:block;width:100%;height:auto;margin:0 auto;color:#000}\n"
    ".canvas img{width:auto;max-width:100%}\n"
    "figcaption{margin-top:.6rem;font-size:.9rem;line-height:1.5}\n"
    ".missing{border-left:4px solid var(--line);padding:.25rem 0 .25rem 1rem;color:var(--soft)}\n",
    /* Tables */
    ".box{overflow:auto;max-height:36rem;background:var(--card);border:1px solid var(--line);border-radius:6px;"
    "margin:.5rem 0 1.5rem;box-shadow:var(--shadow)}\n"
    "table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9rem;line-height:1.35;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.4rem .75rem;text-align:right;vertical-align:top;white-space:nowrap;"
    "border-bottom:1px solid var(--line)}\n"
    "tbody tr:last-child>*{border-bottom:0}\n"
    "thead th{position:sticky;top:0;background:var(--card);font-size:.8rem;color:var(--soft);"
    "border-bottom:2px solid var(--line)}\n"
    "tbody th{font-weight:400}\ntd b{font-weight:600}\n.word{text-align:left}\n"
    "td .range{display:block}\n.range{font-size:.8em;color:var(--soft);font-weight:400}\n"
    ".path{font-weight:600}\n.path::before{content:\"\";display:inline-block;width:.6em;height:.6em;margin-right:.45em;"
    "background:currentColor;border-radius:50%}\n.path.naive::before{border-radius:0}\n"
    ".reason{white-space:normal;color:var(--bad)}\n"
    ".faster{font-weight:600;color:var(--good)}\n.slower{font-weight:600;color:var(--bad)}\n.same{color:var(--soft)}\n"
    "#changes h3::first-letter{text-transform:uppercase}\n",
    /* Lists of facts and notes */
    ".columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:0 2.5rem}\n"
    ".facts{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.3rem 1.25rem;margin:.5rem 0 1.5rem;"
    "font-size:.95rem;line-height:1.5}\n"
    ".facts dt{color:var(--soft);max-width:11rem}\n.facts dd{margin:0;min-width:0;overflow-wrap:anywhere}\n"
    ".notes{list-style:none;margin:0;padding:0}\n"
    ".notes li{max-width:54rem;margin:0 0 .6rem;padding:.6rem 1rem;border-left:4px solid var(--line);"
    "background:var(--tint);border-radius:0 6px 6px 0}\n"
    ".notes .warning{border-color:var(--amber);background:var(--amber-tint)}\n"
    ".notes li b{margin-right:.4em;font-size:.8rem;text-transform:uppercase;letter-spacing:.05em;color:var(--soft)}\n"
    ".notes .warning b{color:var(--amber)}\n",
    /* Phones */
    "@media (max-width:44rem){header{padding-top:1.75rem}header,nav,main,footer{padding-left:1rem;padding-right:1rem}"
    ".lead{font-size:1.05rem}.about,.numbers{grid-template-columns:repeat(2,minmax(0,1fr))}"
    ".numbers li{padding:.75rem}.numbers b{font-size:1.6rem}"
    ".findings li{padding-left:0}.findings .topic{position:static;display:block;line-height:1.4}"
    ".canvas{padding:.5rem}.canvas svg,.canvas img{width:40rem;max-width:none}"
    ".canvas::before{content:\"↔ scrolls sideways\";position:sticky;left:0;font-size:.75rem;color:#5c6269}"
    ".numbers li:last-child:nth-child(odd){grid-column:1/-1}"
    ".facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.6rem}th,td{padding:.4rem .6rem}}\n",
    /* Paper */
    "@page{margin:16mm 14mm}\n"
    "@media print{body{font-size:10pt;line-height:1.45}header,main,footer{max-width:none;padding-left:0;"
    "padding-right:0}header{padding-top:0}nav{display:none}section{margin:0 0 1.5rem}"
    "h2,h3{break-after:avoid}p,li{orphans:3;widows:3}figure,.numbers li,.notes li,tr,.facts dt{break-inside:avoid}"
    ".facts dt{break-after:avoid}.canvas{border:0;padding:0;overflow:visible}"
    ".canvas::before{display:none}.canvas svg,.canvas img{width:150mm;max-width:100%;max-height:190mm;margin:0}"
    ".columns{display:block}.facts{font-size:9pt}figure{margin-bottom:8mm}"
    ".box{max-height:none;overflow:visible;border:0}table{font-size:7.5pt}thead{display:table-header-group}"
    "thead th{position:static}th,td{padding:.2rem "
    ".4rem}.numbers{grid-template-columns:repeat(auto-fit,minmax(32mm,1fr))}"
    "details::details-content{content-visibility:visible;block-size:auto}summary{list-style:none}}\n",
};

void kv_page_print_style(FILE *page)
{
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        fputs(pieces[i], page);
}
