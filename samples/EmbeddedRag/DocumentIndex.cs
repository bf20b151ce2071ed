namespace EmbeddedRag;

/// <summary>One sentence of a document with its vector.</summary>
public sealed record Sentence(string Document, string Title, string Text, float[] Vector);

/// <summary>A sentence found, and how near it is to the question (-1 to 1).</summary>
public sealed record Match(Sentence Sentence, float Similarity);

/// <summary>The documents beside the program, cut into sentences and embedded once. Immutable; thread-safe.</summary>
public sealed class DocumentIndex
{
    private readonly Dictionary<string, string> _texts = new(StringComparer.Ordinal);
    private readonly List<Sentence> _sentences = [];

    public DocumentIndex(NgramEmbeddingGenerator embedder)
    {
        foreach (var path in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "documents"), "*.md").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileNameWithoutExtension(path);
            var text = File.ReadAllText(path);
            _texts[name] = text;
            var title = name;
            foreach (var line in text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                if (line.StartsWith('#'))
                {
                    title = line.TrimStart('#', ' ');
                    continue;
                }
                // The title belongs to every sentence under it: "It is closed on Mondays" alone says nothing.
                foreach (var sentence in Sentences(line)) _sentences.Add(new Sentence(name, title, sentence, embedder.Embed($"{title}. {sentence}")));
            }
        }
    }

    /// <summary>The text of a document, or null when there is none of this name.</summary>
    public string? TextOf(string name) => _texts.GetValueOrDefault(name);

    /// <summary>The sentences nearest to a vector, best first.</summary>
    public IReadOnlyList<Match> Search(ReadOnlyMemory<float> vector, int count) =>
    [
        .. _sentences.Select(s => new Match(s, NgramEmbeddingGenerator.Similarity(vector.Span, s.Vector))).OrderByDescending(m => m.Similarity).Take(count),
    ];

    private static IEnumerable<string> Sentences(string line)
    {
        var start = 0;
        for (var i = 0; i < line.Length; i++)
        {
            if (line[i] is not ('.' or '!' or '?') || (i + 1 < line.Length && line[i + 1] != ' ')) continue;
            yield return line[start..(i + 1)].Trim();
            start = i + 1;
        }
        if (start < line.Length && line[start..].Trim() is { Length: > 0 } rest) yield return rest;
    }
}
