using System.Runtime.CompilerServices;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Microsoft.Extensions.AI;

namespace EmbeddedRag;

/// <summary>
/// Answers questions by quoting the documents: embeds the last question, finds the nearest sentences, and streams them with citations. Reports how long embedding
/// and retrieval took, and how well the answer rests on its sources. Thread-safe.
/// </summary>
public sealed class RetrievalChatClient(NgramEmbeddingGenerator embedder, DocumentIndex index, TimeProvider time) : IChatClient
{
    private const int MaxSentences = 3;

    /// <summary>Below this a sentence only shares chance pieces of words with the question.</summary>
    private const float MinSimilarity = 0.18f;

    /// <summary>Sentences much further away than the best one belong to another subject.</summary>
    private const float ShareOfBest = 0.6f;

    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        await GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var call = options.GetGatewayCall();
        var question = messages.LastOrDefault(m => m.Role == ChatRole.User)?.Text;
        if (string.IsNullOrWhiteSpace(question))
        {
            throw new GatewayErrorException(GatewayError.Invalid("messages", "There is no question in text among the messages."));
        }

        var started = time.GetTimestamp();
        var vector = (await embedder.GenerateAsync([question], cancellationToken: cancellationToken))[0].Vector;
        call?.Timings.Record("embedding", time.GetElapsedTime(started));

        started = time.GetTimestamp();
        var found = index.Search(vector, MaxSentences);
        var used = found.Where(m => m.Similarity >= MinSimilarity && m.Similarity >= found[0].Similarity * ShareOfBest).ToList();
        call?.Timings.Record("retrieval", time.GetElapsedTime(started));
        call?.Quality.Set("groundedness", used.Count == 0 ? 0 : Math.Round(used.Average(m => m.Similarity), 4));

        var left = options?.MaxOutputTokens ?? int.MaxValue;
        foreach (var piece in used.Count == 0 ? [new TextContent("The documents say nothing about that.")] : Answer(used))
        {
            cancellationToken.ThrowIfCancellationRequested();
            // A word is at least one token: the bound is kept, if not used to the last token.
            foreach (var word in Words(piece))
            {
                if (left-- <= 0)
                {
                    yield return new ChatResponseUpdate { Role = ChatRole.Assistant, FinishReason = ChatFinishReason.Length };
                    yield break;
                }
                yield return new ChatResponseUpdate(ChatRole.Assistant, [word]);
            }
        }
        yield return new ChatResponseUpdate { Role = ChatRole.Assistant, FinishReason = ChatFinishReason.Stop };
    }

    public object? GetService(Type serviceType, object? serviceKey = null) =>
        serviceType == typeof(ChatClientMetadata) ? new ChatClientMetadata("harbour") : serviceType.IsInstanceOfType(this) ? this : null;

    public void Dispose()
    {
    }

    // Each sentence, then the mark of its document, which carries the citation.
    private static IEnumerable<TextContent> Answer(List<Match> used)
    {
        var documents = used.Select(m => m.Sentence.Document).Distinct().ToList();
        for (var i = 0; i < used.Count; i++)
        {
            var sentence = used[i].Sentence;
            yield return new TextContent((i == 0 ? "" : " ") + sentence.Text);
            yield return new TextContent($" [{documents.IndexOf(sentence.Document) + 1}]")
            {
                Annotations = [new CitationAnnotation { Title = sentence.Title, Url = new Uri($"/documents/{sentence.Document}", UriKind.Relative), Snippet = sentence.Text }],
            };
        }
    }

    private static IEnumerable<TextContent> Words(TextContent piece)
    {
        if (piece.Annotations is not null)
        {
            yield return piece;
            yield break;
        }
        var text = piece.Text;
        var start = 0;
        while (start < text.Length)
        {
            var end = text.IndexOf(' ', start + 1);
            if (end < 0) end = text.Length;
            yield return new TextContent(text[start..end]);
            start = end;
        }
    }
}
