using EmbeddedRag;
using Fairlead;

var builder = WebApplication.CreateBuilder(args);

builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton<NgramEmbeddingGenerator>();
builder.Services.AddSingleton<DocumentIndex>();

builder.AddFairlead()
    .AddChatModel("harbour-rag", services => ActivatorUtilities.CreateInstance<RetrievalChatClient>(services), model =>
    {
        model.ContextWindow = 8_000;
        model.MaxOutputTokens = 1_000;
        model.Sampling = false; // It quotes; there is nothing to sample.
    })
    .AddEmbeddingModel("harbour-embed", services => services.GetRequiredService<NgramEmbeddingGenerator>(), model =>
    {
        model.Dimensions = NgramEmbeddingGenerator.DefaultDimensions;
        model.ChoosesDimensions = true;
    });

var app = builder.Build();

app.MapFairlead();

// What the citations of an answer point to.
app.MapGet("/documents/{name}", (string name, DocumentIndex index) => index.TextOf(name) is { } text ? Results.Text(text, "text/markdown") : Results.NotFound());

app.Run();
