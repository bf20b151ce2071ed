using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Fairlead.Tests.Providers.ChatClient;

/// <summary>A chat client that follows the test's script and records the requests it gets.</summary>
internal sealed class ScriptedClient : IChatClient
{
    public IReadOnlyList<ChatMessage> Messages { get; private set; } = [];

    public ChatOptions? Options { get; private set; }

    public bool Disposed { get; private set; }

    public Func<CancellationToken, Task<ChatResponse>> Answer { get; init; } = _ => throw new InvalidOperationException("No answer scripted.");

    public Func<CancellationToken, IAsyncEnumerable<ChatResponseUpdate>> Stream { get; init; } = _ => throw new InvalidOperationException("No stream scripted.");

    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        (Messages, Options) = ([.. messages], options);
        return Answer(cancellationToken);
    }

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        (Messages, Options) = ([.. messages], options);
        await foreach (var update in Stream(cancellationToken)) yield return update;
    }

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public void Dispose() => Disposed = true;

    public static ChatResponseUpdate Text(string text) => new(ChatRole.Assistant, text);

    public static ChatResponseUpdate Of(params AIContent[] contents) => new(ChatRole.Assistant, contents);
}
