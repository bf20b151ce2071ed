using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Translates the requests of one dialect to the canonical embeddings request. Thread-safe.</summary>
internal interface IEmbeddingsDialect
{
    /// <summary>Translates a request. Called only after <see cref="IRequestReader.Read"/> succeeded.</summary>
    /// <exception cref="GatewayErrorException">The request contains something that the canonical request cannot express.</exception>
    EmbeddingsRequest ToEmbeddings(GatewayCall call);
}
