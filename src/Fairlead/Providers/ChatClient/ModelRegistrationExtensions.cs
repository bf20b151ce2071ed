using Fairlead.Catalogue;
using Fairlead.Providers.ChatClient;
using Fairlead.Telemetry;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Fairlead;

/// <summary>Adds models of the host application.</summary>
public static class ModelRegistrationExtensions
{
    /// <summary>
    /// Offers an <see cref="IChatClient"/> as the model <paramref name="name"/>, in every dialect, sync and streamed. The client is created
    /// once, when the catalogue is first built. It is called by many threads concurrently and disposed with the application.
    /// </summary>
    /// <param name="builder">The result of <c>AddFairlead</c>.</param>
    /// <param name="name">The <c>model</c> that clients send: 1 to 128 letters, digits and <c>. _ - : /</c>.</param>
    /// <param name="factory">Creates the client.</param>
    /// <param name="configure">Sets what the model supports; by default text in, text out, no tools.</param>
    /// <exception cref="ArgumentException">The name is invalid or another model is registered with it.</exception>
    public static FairleadBuilder AddChatModel(
        this FairleadBuilder builder, string name, Func<IServiceProvider, IChatClient> factory, Action<ChatModelOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(factory);
        var options = new ChatModelOptions();
        configure?.Invoke(options);
        var key = Claim(builder, name);
        builder.Services.AddChatClientProviders();
        builder.Services.AddKeyedSingleton(key, (services, _) => factory(services));
        builder.Services.AddSingleton<IModelSource>(services =>
            new RegisteredModelSource(new RegisteredModel(name, options.ToConfig(name), new ChatClientProvider(
            name, services.GetRequiredKeyedService<IChatClient>(key), services.GetRequiredService<TimeProvider>(),
            CreateLogger(services, name)))));
        return builder;
    }

    /// <summary>
    /// Offers an embedding generator as the model <paramref name="name"/>. It is created once, when the catalogue is first built. It is
    /// called by many threads concurrently and disposed with the application.
    /// </summary>
    /// <inheritdoc cref="AddChatModel"/>
    public static FairleadBuilder AddEmbeddingModel(
        this FairleadBuilder builder, string name, Func<IServiceProvider, IEmbeddingGenerator<string, Embedding<float>>> factory,
        Action<EmbeddingModelOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(factory);
        var options = new EmbeddingModelOptions();
        configure?.Invoke(options);
        var key = Claim(builder, name);
        builder.Services.AddChatClientProviders();
        builder.Services.AddKeyedSingleton(key, (services, _) => factory(services));
        builder.Services.AddSingleton<IModelSource>(services =>
            new RegisteredModelSource(new RegisteredModel(name, options.ToConfig(name), new EmbeddingGeneratorProvider(
            name, services.GetRequiredKeyedService<IEmbeddingGenerator<string, Embedding<float>>>(key),
            services.GetRequiredService<TimeProvider>(), CreateLogger(services, name)))));
        return builder;
    }

    private static readonly System.Buffers.SearchValues<char> NameCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/");

    // The key has a type of our own: an application that registers its client under the model's name must not get itself here.
    private static ModelKey Claim(FairleadBuilder builder, string name)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name.Length > 128 || name.AsSpan().ContainsAnyExcept(NameCharacters))
        {
            throw new ArgumentException($"'{name}' is not a valid model name: use 1 to 128 letters, digits and . _ - : /.", nameof(name));
        }
        var key = new ModelKey(name);
        foreach (var service in builder.Services)
        {
            if (service.ServiceKey is ModelKey taken && taken == key)
            {
                throw new ArgumentException($"A model named '{name}' is registered already.", nameof(name));
            }
        }
        return key;
    }

    private static ILogger CreateLogger(IServiceProvider services, string name) =>
        LimitedLogger.Of(services.GetRequiredService<ILoggerFactory>().CreateLogger($"Fairlead.Providers.{name}"),
            services.GetService<RepeatedLines>());

    private sealed record ModelKey(string Name);

    private sealed class RegisteredModelSource(RegisteredModel model) : IModelSource
    {
        public RegisteredModel Model { get; } = model;
    }
}
