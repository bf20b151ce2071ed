using Fairlead.Errors;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>One interface of the gateway as its clients know it.</summary>
/// <param name="Name">The dialect, or the part of the API.</param>
/// <param name="Shape">The shape of its errors.</param>
/// <param name="Path">Its address.</param>
/// <param name="Content">What a body holds beside model and options; empty for a door that is only read.</param>
public sealed record Door(string Name, ErrorShape Shape, string Path, string Content = "")
{
    public static readonly Door Chat = new("openai.chat", ErrorShape.OpenAi, "/v1/chat/completions", """ "messages":[{"role":"user","content":"hi"}]""");
    public static readonly Door Completions = new("openai.completions", ErrorShape.OpenAi, "/v1/completions", """ "prompt":"hi" """);
    public static readonly Door Embeddings = new("openai.embeddings", ErrorShape.OpenAi, "/v1/embeddings", """ "input":"hi" """);
    public static readonly Door Responses = new("openai.responses", ErrorShape.OpenAi, "/v1/responses", """ "input":[{"role":"user","content":"hi"}]""");
    public static readonly Door Generations = new("fairlead", ErrorShape.Problem, "/v2/generations", """ "input":[{"role":"user","content":"hi"}]""");
    public static readonly Door Messages = new("anthropic.messages", ErrorShape.Anthropic, "/v1/messages", """ "max_tokens":5,"messages":[{"role":"user","content":"hi"}]""");
    public static readonly Door CountTokens = new("anthropic.count_tokens", ErrorShape.Anthropic, "/v1/messages/count_tokens", """ "messages":[{"role":"user","content":"hi"}]""");
    public static readonly Door Models = new("models", ErrorShape.OpenAi, "/v1/models");
    public static readonly Door AnthropicModels = new("models for Anthropic's clients", ErrorShape.Anthropic, "/v1/models");
    public static readonly Door V2 = new("v2", ErrorShape.Problem, "/v2/models");
    public static readonly Door Admin = new("admin", ErrorShape.Problem, "/admin/v1/organizations");

    public static readonly IReadOnlyList<Door> All = [Chat, Completions, Embeddings, Responses, Generations, Messages, CountTokens, Models, AnthropicModels, V2, Admin];

    /// <summary>Whether it leads to a model.</summary>
    public bool Generates => Content.Length > 0;

    public bool Streams => this == Chat || this == Completions || this == Responses || this == Generations || this == Messages;

    /// <summary>Whether a stream starts when the call is accepted, so that events report a provider's failure.</summary>
    public bool BeginsAtOnce => this == Responses || this == Generations;

    public bool IsEmbeddings => this == Embeddings;

    /// <summary>Whether conversations with parts pass through it.</summary>
    public bool Converses => this == Chat || this == Responses || this == Generations || this == Messages || this == CountTokens;

    /// <summary>A member of the gateway's own with a leading comma, such as the class: inside <c>fairlead</c> where the dialect is foreign.</summary>
    public string Own(string member) => this == Generations ? "," + member : $",\"fairlead\":{{{member}}}";

    /// <summary>How errors name such a member.</summary>
    public string OwnName(string name) => this == Generations ? name : "fairlead." + name;

    /// <summary>A whole body; <paramref name="more"/> is further members with a leading comma.</summary>
    public string Body(string model, string more = "", bool stream = false) => $$"""{"model":"{{model}}",{{Content}}{{(this == Generations ? stream ? "" : ",\"delivery\":{\"mode\":\"sync\"}" : stream ? ",\"stream\":true" : "")}}{{more}}}""";

    public override string ToString() => Name;
}
