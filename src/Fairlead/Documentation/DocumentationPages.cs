using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Markdig;
using Markdig.Renderers.Html;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace Fairlead.Documentation;

/// <summary>The guides: Markdown that is embedded in the program, rendered on first request and cached. Thread-safe.</summary>
internal sealed partial class DocumentationPages
{
    /// <summary>The address of this server in the sources of guides and examples.</summary>
    public const string ExampleAddress = "http://127.0.0.1:8080";

    // A character that no text contains. It marks where examples need the address by which the reader reached the server.
    private const string Here = "\uE000";

    private const string Prefix = "docs/";

    // The order of the navigation; pages not named here follow by name.
    private static readonly (string Group, string[] Pages)[] Order =
    [
        ("Begin", ["start", "configuration", "models"]),
        ("Call", ["streaming", "responses", "generations", "structured-output", "jobs", "batches", "webhooks", "idempotency", "limits", "errors",
            "keys", "access"]),
        ("Operate", ["operating", "providers", "quirks", "security", "audit-and-usage", "erasure"]),
        ("Build", ["embedding", "architecture", "testing", "testing-failover"]),
    ];

    private static readonly MarkdownPipeline Pipeline = new MarkdownPipelineBuilder()
        .UsePipeTables().UseAutoIdentifiers(Markdig.Extensions.AutoIdentifiers.AutoIdentifierOptions.GitHub).UseAutoLinks()
            .UseEmphasisExtras().UseAlertBlocks().DisableHtml().Build();

    private readonly FrozenDictionary<string, string> _resources = typeof(DocumentationPages).Assembly.GetManifestResourceNames()
        .Where(n => n.StartsWith(Prefix, StringComparison.Ordinal) && n.EndsWith(".md", StringComparison.Ordinal))
        .ToFrozenDictionary(n => NameOf(n[Prefix.Length..^3]), n => n, StringComparer.Ordinal);

    private readonly ConcurrentDictionary<string, Page> _rendered = new(StringComparer.Ordinal);

    /// <summary>A rendered page.</summary>
    /// <param name="Title">Its first heading.</param>
    /// <param name="Template">The whole document, with a mark for the server's address in the examples; <see cref="At"/> replaces
    /// it.</param>
    /// <param name="Ids">Its anchors.</param>
    /// <param name="Links">The addresses of its links, as rendered.</param>
    public sealed record Page(string Title, string Template, FrozenSet<string> Ids, IReadOnlyList<string> Links)
    {
        /// <summary>
        /// The document for a reader who reached the server at <paramref name="address"/>: its examples can be pasted as they are.
        /// </summary>
        public string At(string address) => Template.Replace(Here, WebUtility.HtmlEncode(address), StringComparison.Ordinal);
    }

    /// <summary>Names of all pages; the index is <c>README</c>.</summary>
    public IReadOnlyCollection<string> Names => _resources.Keys;

    /// <summary>The page of this name, or null.</summary>
    public Page? Find(string name)
    {
        if (!_resources.TryGetValue(name, out var resource)) return null;
        return _rendered.GetOrAdd(name, _ => Render(name, Read(resource)));
    }

    /// <summary>The page for an unknown name: a 404.</summary>
    public string NotFound(string path) =>
        Layout("Not found", "",
            $"<h1>Page not found</h1><p><code>{WebUtility.HtmlEncode(path)}</code> is not in this documentation. "
            + "The <a href=\"/docs\">index</a> lists every page.</p>", []);

    private Page Render(string name, string markdown)
    {
        var document = Markdown.Parse(markdown, Pipeline);
        var links = new List<string>();
        foreach (var link in document.Descendants<LinkInline>())
        {
            if (link.IsImage)
            {
                if (link.Url?.StartsWith("plots/", StringComparison.Ordinal) == true) link.Url = "/docs/" + link.Url;
                continue;
            }
            link.Url = Rewrite(link.Url ?? "");
            links.Add(link.Url);
        }
        foreach (var table in document.Descendants<Markdig.Extensions.Tables.Table>()) table.GetAttributes().AddClass("wide");
        var headings = document.Descendants<HeadingBlock>().ToArray();
        var title = headings.FirstOrDefault() is { } first ? Text(first.Inline) : name;
        var sections = headings.Where(h => h.Level == 2).Select(h => (Id: h.TryGetAttributes()?.Id ?? "", Text: Text(h.Inline))).ToArray();
        var ids = headings.Select(h => h.TryGetAttributes()?.Id ?? "").ToFrozenSet(StringComparer.Ordinal);
        var body = Preformatted()
            .Replace(document.ToHtml(Pipeline), block => block.Value.Replace(ExampleAddress, Here, StringComparison.Ordinal));
        return new(title, Layout(title, name, body, sections), ids, links);
    }

    // The sources link to each other as files, so that the links work in a repository; here they become pages.
    private static string Rewrite(string url)
    {
        if (url.Contains("://", StringComparison.Ordinal) || url.StartsWith('#') || url.StartsWith('/')
            || url.StartsWith("mailto:", StringComparison.Ordinal))
        {
            return url;
        }

        var hash = url.IndexOf('#', StringComparison.Ordinal);
        var (path, fragment) = hash < 0 ? (url, "") : (url[..hash], url[hash..]);
        if (!path.EndsWith(".md", StringComparison.Ordinal)) return url;
        var name = NameOf(path[..^3].TrimStart('.', '/'));
        return (name == "README" ? "/docs" : $"/docs/{name}") + fragment;
    }

    private string Layout(string title, string current, string body, (string Id, string Text)[] sections)
    {
        var navigation = new StringBuilder();
        var named = Order.SelectMany(g => g.Pages).ToHashSet(StringComparer.Ordinal);
        var rest = Names.Where(n => n != "README" && !named.Contains(n) && !n.Contains('/', StringComparison.Ordinal))
            .Order(StringComparer.Ordinal).ToArray();
        foreach (var (group, pages) in rest.Length == 0 ? Order : [.. Order, ("More", rest)])
        {
            var present = pages.Where(_resources.ContainsKey).ToArray();
            if (present.Length == 0) continue;
            navigation.Append("<h2>").Append(group).Append("</h2><ul>");
            foreach (var page in present) Entry($"/docs/{page}", TitleOf(page), page == current);
            navigation.Append("</ul>");
        }
        navigation.Append("<h2>Reference</h2><ul>");
        Entry("/reference", "API reference", false);
        Entry("/openapi/v1.json", "OpenAPI: OpenAI and Anthropic API (v1)", false);
        Entry("/openapi/v2.json", "OpenAPI: Fairlead API (v2)", false);
        Entry("/schemas/fairlead.schema.json", "Configuration schema", false);
        navigation.Append("</ul>");

        var contents = new StringBuilder();
        if (sections.Length > 2)
        {
            contents.Append("<nav class=\"contents\" aria-label=\"On this page\"><h2>On this page</h2><ul>");
            foreach (var (id, text) in sections)
            {
                contents.Append("<li><a href=\"#").Append(WebUtility.HtmlEncode(id)).Append("\">").Append(WebUtility.HtmlEncode(text))
                    .Append("</a></li>");
            }

            contents.Append("</ul></nav>");
        }

        return $"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>{(title == "Fairlead" ? "Fairlead: documentation" : $"{WebUtility.HtmlEncode(title)} · Fairlead")}</title>
            <link rel="icon" href="/docs/assets/mark.svg" type="image/svg+xml">
            <link rel="stylesheet" href="/docs/assets/docs.css">
            <script src="/docs/assets/docs.js" defer></script>
            </head>
            <body>
            <a class="skip" href="#main">To the text</a>
            <header><a class="brand" href="/docs"><img src="/docs/assets/mark.svg" alt="" width="24" height="24">Fairlead</a><a class="aside" href="/reference">API reference</a></header>
            <div class="frame">
            <details class="guides" open><summary>Guides</summary><nav aria-label="Guides">{navigation}</nav></details>
            <main id="main">{body}</main>
            {contents}
            </div>
            </body>
            </html>
            """;

        void Entry(string address, string text, bool here) =>
            navigation.Append("<li><a href=\"").Append(address).Append(here ? "\" aria-current=\"page\">" : "\">")
                .Append(WebUtility.HtmlEncode(text)).Append("</a></li>");
    }

    private string TitleOf(string name)
    {
        using var reader = new StringReader(Read(_resources[name]));
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith("# ", StringComparison.Ordinal)) return line[2..].Trim();
        }
        return name;
    }

    private static string Read(string resource)
    {
        using var reader = new StreamReader(typeof(DocumentationPages).Assembly.GetManifestResourceStream(resource)!, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private static string NameOf(string path) => path.Replace('\\', '/');

    private static string Text(ContainerInline? inline) => inline is null ? "" : string.Concat(inline.Descendants().Select(i => i switch
    {
        LiteralInline literal => literal.Content.ToString(),
        CodeInline code => code.Content,
        _ => "",
    }));

    [GeneratedRegex("<pre>.*?</pre>", RegexOptions.Singleline)]
    private static partial Regex Preformatted();
}
